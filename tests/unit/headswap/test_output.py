"""Tables are whole in a pipe and in a narrow terminal; no name of a class or file commands the terminal."""

import json

import pytest
from rich.table import Table

from headswap.commands.serving import status
from headswap.output import print_error, print_table, stdout
from headswap.prediction_format import prediction_format
from serving.client import ClassScore, Prediction
from serving.rollout import status as rollout_status
from serving.rollout.status import VersionStatus

MODEL, VERSION = "m" * 70, "20261129.123456"


@pytest.mark.parametrize("columns", ["20", "80", None])
def test_no_cell_of_a_table_is_cut(
    columns: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    table = Table("model", "version", "[old]", box=None)
    table.add_row(MODEL, VERSION, "服装" * 30)
    print_table(table)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["model", "version", "[old]"]
    assert row.split() == [MODEL, VERSION, "服装" * 30]


HOSTILE = "\x1b[2Jcat\x07\x9b31m\u202egpj.exe\r"
SHOWN = r"\x1b[2Jcat\x07\x9b31m\u202egpj.exe\r"


def test_a_class_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(HOSTILE, box=None)
    table.add_row(HOSTILE)
    print_table(table)
    stdout.print(HOSTILE)
    print_error(HOSTILE)
    captured = capsys.readouterr()
    assert [line.strip() for line in captured.out.splitlines()] == [SHOWN] * 3
    assert captured.err == f"headswap: {SHOWN}\n"


def test_a_predicted_name_cannot_command_the_terminal() -> None:
    scores = (ClassScore(label=HOSTILE, index=0, probability=1.0),)
    prediction = Prediction(model="clothing", version="1.0", scores=scores)
    line = prediction_format("text", top_k=1).success(HOSTILE, prediction, None)
    assert line == f"{SHOWN}: {SHOWN} 1.000\n"


def test_letters_of_every_language_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    name = "کتاب‌ها 服装 é 👩‍👧"
    stdout.print(name)
    assert capsys.readouterr().out == f"{name}\n"


class Session:
    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_status_shows_a_row_per_version_on_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = VersionStatus(
        model=MODEL, version=VERSION, state="kept", ready_workers=0, workers=4, pending_requests=7,
        requests=123_456_789, errors=12, faults=3, p50_ms=11.2, p99_ms=98.7, sha256="a" * 64,
        since="2026-11-29T03:00:00+00:00", why="promoted from model_store/clothing-2.0.mar",
        problem="model_store/clothing-1.0.mar is gone",
    )  # fmt: skip
    monkeypatch.setattr(rollout_status, "read_status", lambda _: [row])
    command = status.Command()
    monkeypatch.setattr(type(command.server), "session", lambda _: Session())
    assert status.run(command) == 0
    _, shown, since, problem = capsys.readouterr().out.splitlines()
    assert shown.split() == [
        MODEL, VERSION, "kept", "0/4", "7", "123456789", "12", "(3", "ours)", "11", "99",
    ]  # fmt: skip
    assert since.endswith(f"since {row.since}: {row.why}")
    assert problem == f"{MODEL} {VERSION}: {row.problem}"
    assert status.run(status.Command(json=True)) == 0
    assert json.loads(capsys.readouterr().out)["versions"][0]["problem"] == row.problem
