"""What a user sees of the command line: help, one-line errors, exit codes."""

import subprocess
import sys

import pytest

from headswap.cli import main
from headswap.commands import COMMANDS, GROUPS
from headswap.commands.training.train import take_preset
from training.config import PRESETS


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed on standard error, which must be a single line."""
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


def test_bare_call_lists_every_command_under_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for title, entries in GROUPS.items():
        block = shown.split(f"\n{title}:\n")[1].split("\n\n")[0]
        assert [line.split()[0] for line in block.splitlines()] == [entry.name for entry in entries]


def test_an_unknown_command_names_the_nearest_and_exits_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["promot"]) == 2
    assert "Did you mean 'promote'?" in error_of(capsys)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_every_command_has_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"headswap {name}" in shown.split("Example")[1]
    # tyro's own notations for optional and repeated arguments.
    assert "{None}" not in shown
    assert " [STR" not in shown


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_unknown_flag_is_one_line_and_exits_with_2(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--no-such-flag"]) == 2
    message = error_of(capsys)
    assert "--no-such-flag" in message or "missing: " in message
    assert message.endswith(f"See headswap {name} --help.\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("evaluate", "missing: RUN."),
        ("export runs/first", "missing: --name NAME, --version VERSION."),
        ("promote a.mar --kep 1", "unknown argument: --kep, 1. Did you mean --keep INT?"),
        ("promote a.mar --keep 1.5", "--keep must be a whole number, not '1.5'."),
        ("promote a.mar --min-accuracy high", "--min-accuracy must be a number, not 'high'."),
        ("predict a.jpg --transport ftp", "--transport must be http or grpc, not 'ftp'."),
        ("train --data a --mix all", "--mix must be one of none, mixup, cutmix, both, not 'all'."),
        ("predict a.jpg --token", "--token needs a value."),
        ("soak --versions a.mar", "--versions needs 2 values."),
    ],
)
def test_arguments_that_do_not_parse_say_what_is_allowed(
    argv: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = argv.split()[0]
    assert main(argv.split()) == 2
    assert error_of(capsys) == f"headswap: {message} See headswap {name} --help.\n"


@pytest.mark.parametrize("argv", [["--preset", "quick"], ["--preset=quick"]])
def test_a_preset_sets_what_is_not_given(argv: list[str]) -> None:
    default, rest = take_preset([*argv, "--data", "photos"])
    assert default == PRESETS["quick"]()
    assert rest == ["--data", "photos"]


@pytest.mark.parametrize(
    ("earlier", "today"),
    [
        ("--freeze body --resume", "--freeze backbone --resume"),
        ("--moving-batchnorm=learning", "--batchnorm-stats train"),
        ("--body-lr-ratio 0.1 --freeze none", "--backbone-lr-ratio 0.1 --freeze none"),
        ("--data body --out body", "--data body --out body"),
        ("--log mlflow --data x --log tensorboard", "--data x --log mlflow tensorboard"),
    ],
)
def test_flags_of_train_keep_their_earlier_spellings(earlier: str, today: str) -> None:
    assert take_preset(earlier.split()) == (None, today.split())


@pytest.mark.parametrize("argv", [["--preset"], ["--preset="], ["--preset", "fast"]])
def test_another_preset_is_rejected(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", "photos", *argv]) == 2
    assert "--preset must be quick or best" in error_of(capsys)


def test_overview_does_not_import_torch() -> None:
    code = "import sys; from headswap.cli import main; main([]); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_an_installation_of_the_client_alone_names_what_the_command_line_needs() -> None:
    code = "import runpy, sys; sys.modules['tyro'] = None; runpy.run_module('headswap', run_name='__main__')"
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert completed.returncode == 1
    assert completed.stderr.count("\n") == 1
    assert "pip install 'headswap[host]'" in completed.stderr
