"""--cluster where it cannot be used as typed: each time one sentence, before anything is connected to."""

import sys
from pathlib import Path

import pytest

from headswap.cli import main

CLUSTER = ("--cluster", "127.0.0.1:1")


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", *CLUSTER),
        ("rollback", *CLUSTER),
        ("retire", "clothing", "1.0", *CLUSTER),
        ("promote", "clothing-2.0.mar", *CLUSTER),
    ],
)
def test_without_ray_each_command_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] in ("cluster", "ray")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert (
        said == "headswap: --cluster needs the package 'ray': pip install 'headswap[host,ray]'.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--percent", "5", "--bake", "60"), "--percent needs --cluster"),
        (("--percent", "5", *CLUSTER), "give --bake SECONDS"),
        (("--percent", "-1", "--bake", "60", *CLUSTER), "above 0 and at most 100, not -1"),
        (("--percent", "nan", "--bake", "60", *CLUSTER), "above 0 and at most 100, not nan"),
        (("--percent", "5", "--bake", "nan", *CLUSTER), "give --bake SECONDS"),
        (
            ("--percent", "5", "--bake", "60", "--min-agreement", "80", *CLUSTER),
            "--min-agreement must be between 0 and 1, not 80",
        ),
    ],
)
def test_a_trial_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert main(("promote", "clothing-2.0.mar", *options)) == 2
    assert said in capsys.readouterr().err
