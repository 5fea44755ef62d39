"""The README's commands parse: every headswap line in it is a verb with flags that exist."""

import re
import shlex
from pathlib import Path

import pytest

from headswap import flags, verbs

README = (Path(__file__).parents[3] / "README.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
LINES = [
    line.split("#")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("headswap ")
]


def test_the_readme_shows_the_main_verbs() -> None:
    assert {line.split()[1] for line in LINES} >= {
        "train", "evaluate", "export", "serve", "predict", "promote", "status", "rollback",
    }  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_command_parses(line: str) -> None:
    _, name, *words = shlex.split(line)
    verb = verbs.find(name)
    flags.parse(verb.load(), verb.name, words)
