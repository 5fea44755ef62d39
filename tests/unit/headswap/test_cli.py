"""What a user sees of the command line: help, one-line errors, exit codes."""

import subprocess
import sys

import pytest

from headswap.cli import main
from headswap.commands import COMMANDS
from headswap.commands.training.train import take_preset
from training.config import PRESETS


def test_bare_call_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name} " in shown


def test_unknown_verb_names_the_nearest_and_exits_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["promot"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "Did you mean 'promote'?" in complaint


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_every_verb_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"headswap {name}" in capsys.readouterr().out.split("Example")[1]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_unknown_flag_is_one_line_and_exits_with_2(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--no-such-flag"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "--no-such-flag" in complaint or "Missing" in complaint


@pytest.mark.parametrize("words", [["--preset", "quick"], ["--preset=quick"]])
def test_a_preset_sets_what_is_not_given(words: list[str]) -> None:
    default, left = take_preset([*words, "--data", "photos"])
    assert default == PRESETS["quick"]()
    assert left == ["--data", "photos"]


@pytest.mark.parametrize("words", [["--preset"], ["--preset="], ["--preset", "fast"]])
def test_another_preset_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", "photos", *words]) == 2
    assert "the presets are quick, best" in capsys.readouterr().err


def test_overview_does_not_import_torch() -> None:
    code = "import sys; from headswap.cli import main; main([]); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
