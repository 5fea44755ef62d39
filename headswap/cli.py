"""`headswap COMMAND [options]`: parses the arguments, runs the command and turns its errors into one line."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from headswap.commands import CommandEntry, find_command, overview
from headswap.errors import INTERRUPTED, ArgumentError
from headswap.output import print_error
from headswap.tyro_errors import one_sentence

# tyro draws its errors in a box as wide as the terminal: wide enough that no sentence is broken.
ERROR_WIDTH_COLUMNS = "10000"
OPTIONAL_KINDS: tuple[Any, ...] = (str, int, float, Path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 success, 1 failure, 2 invalid input from the user, 130 interrupted."""
    # Before torch is imported. Threads that spin while they wait made an epoch 8 times slower (9 s -> 76 s) as soon as
    # another process used the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return 0
    try:
        entry = find_command(argv[0])
        return int(entry.load().run(parse(entry, argv[1:])))
    except KeyboardInterrupt:
        print_error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone (`headswap predict ... | head`): there is nobody left to report to.
        sys.stderr.close()
        return 1
    except Exception as error:
        exit_code = getattr(error, "exit_code", None)
        if exit_code is None and not isinstance(error, OSError):
            raise
        print_error(str(error))
        return exit_code if isinstance(exit_code, int) else 1


def parse(entry: CommandEntry, argv: Sequence[str]) -> Any:
    """Return the entry's `Command`. Prints the help and exits with 0 when argv asks for it.

    Raises:
        ArgumentError: argv does not parse; the message says which argument and what is allowed.
    """
    module, arguments, default = entry.load(), list(argv), None
    if hasattr(module, "take_preset"):
        default, arguments = module.take_preset(arguments)
    if any(argument in ("-h", "--help") for argument in arguments):
        return _run_tyro(module, entry.name, arguments, default)
    captured = io.StringIO()
    with contextlib.redirect_stderr(captured), _columns(ERROR_WIDTH_COLUMNS):
        try:
            return _run_tyro(module, entry.name, arguments, default)
        except SystemExit:
            sentence = one_sentence(captured.getvalue())
            raise ArgumentError(f"{sentence} See headswap {entry.name} --help.") from None


def _run_tyro(module: ModuleType, command_name: str, arguments: list[str], default: Any) -> Any:
    # None would be one more choice where the command is one of several.
    defaults = {} if default is None else {"default": default}
    return tyro.cli(
        module.Command,
        prog=f"headswap {command_name}",
        description=module.__doc__,
        args=arguments,
        **defaults,
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
        registry=_REGISTRY,
    )


_REGISTRY = ConstructorRegistry()


@_REGISTRY.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Parse and show `TYPE | None` as TYPE. tyro shows `{None}|TYPE` and reads the text "None" as no value."""
    kind = next((kind for kind in OPTIONAL_KINDS if info.type == kind | None), None)
    if kind is None:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.__name__.upper(),
        instance_from_str=lambda texts: kind(texts[0]),
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: ["unset" if value is None else str(value)],
    )


@contextlib.contextmanager
def _columns(width: str) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = width
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
