"""How far a command has come: a bar on a terminal (test_predict.py), a line a minute in a log."""

import io

import pytest
from rich.console import Console

from headswap import progress


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    log = io.StringIO()
    monkeypatch.setattr(progress, "stderr", Console(file=log, width=200))
    return log


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, for the test to change."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(log: io.StringIO, clock: list[float]) -> None:
    with progress.progress(10_000, done=4_000, has_lines=True) as advance:
        for clock[0] in (10.0, 30.0, 59.9):
            advance(500)
        assert log.getvalue() == ""
        clock[0] = 100.0
        advance(1_500)
        advance(1)
    # 3,000 photos of this run in 100 s; those of the run before it took no time now.
    assert log.getvalue() == "7,000 of 10,000 photos, 30.0/s, 2 min left\n"


def test_without_lines_a_log_stays_empty(log: io.StringIO, clock: list[float]) -> None:
    with progress.progress(10) as advance:
        clock[0] = 100.0
        advance(5)
    assert log.getvalue() == ""
