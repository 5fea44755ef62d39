"""The README's commands parse: every headswap line in it is a verb with flags that exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from headswap.cli import parse
from headswap.commands import find_command

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
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


def torchrun_lines() -> list[str]:
    job = yaml.safe_load((ROOT / "deploy" / "training" / "train-job.yaml").read_text())
    trainer = job["spec"]["trainer"]
    found = re.findall(r"^torchrun .*", README, flags=re.MULTILINE)
    return [*found, shlex.join([*trainer["command"], *trainer["args"]])]


@pytest.mark.parametrize("line", torchrun_lines())
def test_several_processes_take_the_flags_of_one(line: str) -> None:
    words = shlex.split(line)
    at = words.index("-m")
    assert words[0] == "torchrun"
    assert words[at + 1 : at + 3] == ["headswap", "train"]
    parse(find_command("train"), words[at + 3 :])


@pytest.mark.parametrize("line", LINES)
def test_command_parses(line: str) -> None:
    _, name, *words = shlex.split(line)
    parse(find_command(name), words)
