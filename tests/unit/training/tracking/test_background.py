"""A tracker that fails, blocks or comes back: one warning, all that it can still take, and no waiting for it."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from training.tracking import background
from training.tracking.background import BackgroundTracker
from training.tracking.tracker import Status


class Recorder:
    """A tracker that records its calls; `fails` says whether a call of this name fails now."""

    def __init__(self, fails: Callable[[str], bool] = lambda _: False) -> None:
        self.calls: list[Any] = []
        self.epochs: set[int] = set()
        self._fails = fails

    def _record(self, name: str, what: object) -> None:
        if self._fails(name):
            raise ConnectionError("the server\nis gone")
        self.calls.append(what)

    def log_epochs(self, history: Sequence[Mapping[str, Any]]) -> None:
        for line in history:
            if line["epoch"] not in self.epochs:
                self._record("epochs", line["epoch"])
                self.epochs.add(line["epoch"])

    def log_mistakes(self, sheet: Image.Image, *, split: str, epoch: int) -> None:
        self._record("mistakes", split)

    def log_report(self, report: Path, figures: Mapping[str, float], *, epoch: int) -> None:
        self._record("report", report.name)

    def close(self, status: Status) -> None:
        self._record("close", status)


def log_report(tracker: BackgroundTracker) -> None:
    tracker.call(lambda t: t.log_report(Path("report.html"), {}, epoch=1))


def test_everything_is_delivered_in_order() -> None:
    recorder, warnings = Recorder(), []
    tracker = BackgroundTracker("mlflow", lambda: recorder, warnings.append)
    for epoch in (1, 2, 3):
        tracker.log_epoch({"epoch": epoch})
    log_report(tracker)
    tracker.close("FINISHED")
    assert recorder.calls == [1, 2, 3, "report.html", "FINISHED"]
    assert warnings == []


def test_a_server_that_comes_back_gets_what_it_missed_after_one_warning() -> None:
    is_down, tried = threading.Event(), threading.Semaphore(0)
    is_down.set()

    def fails(_: str) -> bool:
        tried.release()
        return is_down.is_set()

    recorder, warnings = Recorder(fails), []
    tracker = BackgroundTracker("mlflow", lambda: recorder, warnings.append)
    for epoch in (1, 2, 3):
        tracker.log_epoch({"epoch": epoch})
        assert tried.acquire(timeout=10)
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: --log mlflow failed")
    assert "the server is gone" in warnings[0]
    is_down.clear()
    tracker.close("KILLED")
    assert recorder.calls == [1, 2, 3, "KILLED"]
    assert len(warnings) == 1


def test_a_tracker_that_cannot_be_made_is_made_later() -> None:
    recorder, warnings = Recorder(), []
    made = threading.Semaphore(0)
    answers = iter([OSError("no route to host"), recorder])

    def make() -> Recorder:
        answer = next(answers)
        made.release()
        if isinstance(answer, Exception):
            raise answer
        return answer

    tracker = BackgroundTracker("mlflow", make, warnings.append)
    tracker.log_epoch({"epoch": 1})
    assert made.acquire(timeout=10)
    tracker.close("FINISHED")
    assert recorder.calls == [1, "FINISHED"]
    assert len(warnings) == 1


def test_a_call_that_fails_keeps_no_other_from_being_delivered() -> None:
    recorder, warnings = Recorder(lambda name: name == "report"), []
    tracker = BackgroundTracker("mlflow", lambda: recorder, warnings.append)
    log_report(tracker)
    tracker.log_epoch({"epoch": 1})
    tracker.close("FINISHED")
    assert recorder.calls == [1, "FINISHED"]
    assert len(warnings) == 1


def test_nobody_waits_for_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "CLOSE_TIMEOUT_S", 0.2)
    answers = threading.Event()
    warnings: list[str] = []

    def make() -> Recorder:
        answers.wait(60)
        return Recorder()

    tracker = BackgroundTracker("mlflow", make, warnings.append)
    started = time.monotonic()
    for epoch in range(1000):
        tracker.log_epoch({"epoch": epoch})
    tracker.close("FINISHED")
    assert time.monotonic() - started < 30
    assert len(warnings) == 1
    assert "did not answer" in warnings[0]
    answers.set()
