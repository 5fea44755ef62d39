"""A verb's flags from its `Command` dataclass, by tyro; parse errors become one line."""

import contextlib
import io
import os
import re
from types import ModuleType
from typing import Any

import tyro

from headswap.errors import FlagError

# tyro draws its errors in a box as wide as the terminal: wide enough that no sentence is broken.
ERROR_WIDTH_COLUMNS = "10000"
BOX_DRAWING = re.compile(r"[─-╿]+")


def parse(module: ModuleType, verb_name: str, words: list[str]) -> Any:
    """Return the verb's `Command`. Prints the help and exits with 0 when asked for it.

    Raises:
        FlagError: the words do not parse; the message says which and what is allowed.
    """
    default = None
    if hasattr(module, "take_preset"):
        default, words = module.take_preset(words)
    asks_for_help = any(word in ("-h", "--help") for word in words)
    if asks_for_help:
        return _cli(module, verb_name, words, default)
    complaint = io.StringIO()
    with contextlib.redirect_stderr(complaint), _columns(ERROR_WIDTH_COLUMNS):
        try:
            return _cli(module, verb_name, words, default)
        except SystemExit:
            raise FlagError(_one_line(complaint.getvalue(), verb_name)) from None


def _cli(module: ModuleType, verb_name: str, words: list[str], default: Any) -> Any:
    return tyro.cli(
        module.Command,
        prog=f"headswap {verb_name}",
        description=module.__doc__,
        args=words,
        default=default,
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
    )


def _one_line(complaint: str, verb_name: str) -> str:
    lines = (BOX_DRAWING.sub("", line).strip() for line in complaint.splitlines())
    told = [line for line in lines if line and not line.startswith("For full helptext")]
    # tyro's own title ("Invalid choice") says less than the sentence under it.
    sentence = " ".join(told[1:] if len(told) > 1 else told)
    return f"{sentence.rstrip('.')}. See headswap {verb_name} --help."


@contextlib.contextmanager
def _columns(width: str) -> Any:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = width
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
