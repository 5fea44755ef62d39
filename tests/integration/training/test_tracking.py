"""Runs that are followed: the same weights, one point per epoch however they end, and nobody waits for a server."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from headswap.cli import main
from training.config import TrainConfig
from training.errors import InterruptedRunError
from training.evaluation.evaluation import evaluate
from training.evaluation.report import write_report
from training.fit.progress import no_progress
from training.fit.trainer import train
from training.run import Run
from training.tracking import background
from training.tracking.tracking import track_report

ROOT = Path(__file__).parents[3]
DEADLINE_S = 120


def read(run: Run) -> EventAccumulator:
    return EventAccumulator(str(run.folder), size_guidance={"scalars": 0}).Reload()


def curve(run: Run, name: str) -> list[tuple[int, Any]]:
    return [(event.step, pytest.approx(event.value, abs=1e-6)) for event in read(run).Scalars(name)]


def lines(run: Run, name: str) -> list[tuple[int, float]]:
    return [(line["epoch"], line[name]) for line in run.history()]


def assert_followed(run: Run, epochs: int) -> None:
    """Check that TensorBoard has one point for each line of metrics.jsonl."""
    assert [step for step, _ in curve(run, "accuracy/val")] == list(range(1, epochs + 1))
    for name, key in (("loss/train", "train_loss"), ("loss/val", "val_loss")):
        assert curve(run, name) == lines(run, key)


class Messages:
    """A progress display that keeps its messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def __enter__(self) -> "Messages":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def message(self, text: str) -> None:
        self.messages.append(text)

    def epoch(self, metrics: dict[str, Any]) -> None:
        pass


def test_a_followed_run_has_the_weights_of_one_that_is_not(
    small_config: Callable[..., TrainConfig],
) -> None:
    plain = Run(folder=train(small_config("plain", backbone_lr_ratio=0.5), progress=no_progress()))
    run = Run(
        folder=train(
            small_config("run", backbone_lr_ratio=0.5, log=("tensorboard",)), progress=no_progress()
        )
    )
    assert run.best_path.read_bytes() == plain.best_path.read_bytes()
    assert_followed(run, 3)
    # Frozen, the backbone does not learn at all; then at half the head's rate.
    head, backbone = (
        [event.value for event in read(run).Scalars(f"learning_rate/{part}")]
        for part in ("head", "backbone")
    )
    assert backbone[0] == 0
    assert backbone[1:] == pytest.approx([rate / 2 for rate in head[1:]])
    # What is not asked for leaves no trace.
    assert not plain.tracking_path.exists()
    assert not list(plain.folder.glob("events.*"))
    assert all("learning_rates" not in line for line in plain.history())


def test_an_interrupted_run_continues_its_curves_and_gets_its_report(
    small_config: Callable[..., TrainConfig],
    interrupted_at: Callable[..., AbstractContextManager[None]],
) -> None:
    config = small_config(log=("tensorboard",), epochs=3)
    with interrupted_at(15), pytest.raises(InterruptedRunError):
        train(config, progress=no_progress())
    run = Run(folder=config.out)
    finished = len(run.history())
    assert 1 <= finished < 4
    assert_followed(run, finished)
    train(replace(config, resume=True), progress=no_progress())
    assert_followed(run, 4)
    evaluate(run.folder)
    write_report(run.folder)
    for _ in range(2):
        track_report(run.folder, warn=pytest.fail)
    assert curve(run, "accuracy/test") == [(4, run.evaluation()["accuracy"])]
    assert str(run.report_path) in str(read(run).Tensors("report/text_summary"))
    assert read(run).Images("mistakes/test")


def test_a_killed_run_continues_its_curves(small_config: Callable[..., TrainConfig]) -> None:
    config = small_config(log=("tensorboard",), epochs=200, freeze="none")
    run = Run(folder=config.out)
    argv = [
        sys.executable, "-m", "headswap", "train", "--data", str(config.data), "--out", str(run.folder),
        "--architecture", config.architecture, "--weights", config.weights, "--image-size-px", "32",
        "--epochs", "200", "--head-epochs", "1", "--batch-size", "8", "--precision", "float32", "--log", "tensorboard",
    ]  # fmt: skip
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not run.metrics_path.exists() or len(run.metrics_path.read_text().splitlines()) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)
    # As if it had been killed while the last point was written.
    last = max(run.folder.glob("events.*"))
    last.write_bytes(last.read_bytes()[:-5])
    # The run itself is too long; what it has is followed when it goes on, whatever comes then.
    resumed = replace(run.config(), resume=True)
    with pytest.raises(InterruptedRunError):
        train(resumed, progress=StoppedAfter(2))
    assert_followed(run, len(run.history()))


class StoppedAfter(Messages):
    """A display that interrupts the run after so many epochs."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._left = epochs

    def epoch(self, metrics: dict[str, Any]) -> None:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Yield the address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_does_not_answer_costs_one_warning(
    silent_server: str, small_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    monkeypatch.setattr(background, "CLOSE_TIMEOUT_S", 1.0)
    display = Messages()
    run = Run(folder=train(small_config(log=("mlflow", "tensorboard")), progress=display))
    assert [m for m in display.messages if "--log" in m] == [
        "warning: --log mlflow failed, the training goes on: it did not answer within 1 s"
    ]
    assert_followed(run, 3)


def test_a_server_that_is_down_costs_one_warning(
    small_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    display = Messages()
    run = Run(folder=train(small_config(log=("mlflow",)), progress=display))
    assert len([m for m in display.messages if m.startswith("warning: --log mlflow failed")]) == 1
    assert len(run.history()) == 3


def test_a_missing_package_is_named_before_the_run_begins(
    small_config: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("training.tracking.tracker.find_spec", lambda _: None)
    out = small_config().out
    argv = ["train", "--data", str(small_config().data), "--out", str(out), "--log", "tensorboard"]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("headswap: --log tensorboard needs the package 'tensorboard'")
    assert error.count("\n") == 1
    assert not out.exists()
