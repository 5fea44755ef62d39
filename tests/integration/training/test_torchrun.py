"""`torchrun --nproc-per-node 2 -m headswap train`: the losses of one process, a killed process, any number resumed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from headswap.cli import main
from tests.helpers import free_port
from training.data.source import read_data
from training.distributed import SINGLE_PROCESS
from training.fit.trainer import Trainer
from training.run import Run

ROOT = Path(__file__).parents[3]
TORCHRUN = ["torchrun", "--standalone", "--nproc-per-node", "2"]
EPOCHS = 4
HEAD_STEPS = 20
DEADLINE_S = 300


def flags(out: Path) -> list[str]:
    # ResNet-18 has no dropout, which every process draws for itself. 63 photos per step are sharded unevenly.
    # float32, as with "auto" the processor decides the format.
    return [
        "train", "--data", str(ROOT / "sample_data" / "clothing"), "--out", str(out), "--device", "cpu",
        "--architecture", "resnet18", "--weights", "embedded", "--image-size-px", "32",
        "--head-epochs", "1", "--epochs", str(EPOCHS - 1), "--batch-size", "63", "--precision", "float32",
    ]  # fmt: skip


@contextmanager
def started(
    command: Sequence[str], log: Path, environment: Mapping[str, str] = {}
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the process, its output going to `log`; at the end, kill what is left of its process group."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("single") / "run"
    assert main(flags(out)) == 0
    return Run(folder=out)


def curve(run: Run) -> list[dict[str, Any]]:
    return [
        {key: metrics[key] for key in ("epoch", "train_loss", "val_loss", "val_accuracy")}
        for metrics in run.history()
    ]


def assert_same_curve(run: Run, other: Run) -> None:
    assert len(curve(run)) == len(curve(other)) == EPOCHS
    for one, two in zip(curve(run), curve(other), strict=True):
        assert one == pytest.approx(two, abs=0.02), (one, two)


def test_two_processes_have_the_losses_of_one(single: Run, tmp_path: Path) -> None:
    run, log = Run(folder=tmp_path / "run"), tmp_path / "log"
    argv = [*flags(run.folder), "--log", "tensorboard"]
    # Without --, torchrun takes --log for the beginning of options of its own.
    with started([*TORCHRUN, "-m", "--", "headswap", *argv], log) as process:
        assert process.wait(DEADLINE_S) == 0, log.read_text()
    assert_same_curve(single, run)
    [_] = run.folder.glob("events.*")
    events = EventAccumulator(str(run.folder)).Reload()
    assert [e.step for e in events.Scalars("loss/val")] == list(range(1, EPOCHS + 1))
    for name, one in load_file(single.best_path).items():
        torch.testing.assert_close(one, load_file(run.best_path)[name], atol=0.02, rtol=0.02)
    output = log.read_text()
    # Process 0 alone prints and writes.
    assert output.count("Next: headswap evaluate") == 1
    assert len(re.findall(r"^epoch ", output, re.MULTILINE)) == EPOCHS
    assert "BatchNorm" not in output
    assert not list(run.folder.glob("*.part"))


def test_with_trained_statistics_the_saved_network_is_the_validated_one(tmp_path: Path) -> None:
    run, log = Run(folder=tmp_path / "run"), tmp_path / "log"
    argv = [*flags(run.folder), "--weights", "none", "--epochs", "1", "--ema-decay", "0.5"]
    with started([*TORCHRUN, "-m", "headswap", *argv], log) as process:
        assert process.wait(DEADLINE_S) == 0, log.read_text()
    assert log.read_text().count("each of the 2 CPU processes normalises by its own photos") == 1
    config = run.config()
    trainer = Trainer(config, read_data(config), SINGLE_PROCESS)
    trainer.state.averaged_network.backbone_and_head.load_state_dict(load_file(run.best_path))
    (metrics,) = run.history()
    assert trainer.validate(0).loss == pytest.approx(metrics["val_loss"], rel=1e-4)


def test_a_run_resumes_with_another_number_of_processes(
    single: Run, tmp_path: Path, interrupted_at: Callable[..., AbstractContextManager[None]]
) -> None:
    run = Run(folder=tmp_path / "run")
    # In the second epoch.
    with interrupted_at(HEAD_STEPS + 3):
        assert main(flags(run.folder)) == 130
    assert len(run.history()) == 1

    argv = ["-m", "headswap", *flags(run.folder), "--resume"]
    first, second = tmp_path / "first", tmp_path / "second"
    port = free_port()
    with (
        started([sys.executable, *argv], first, torchrun_variables(0, port)) as process,
        started([sys.executable, *argv], second, torchrun_variables(1, port)) as killed,
    ):
        wait_for_epoch(run, 2, process)
        killed.kill()
        assert process.wait(DEADLINE_S) == 1, first.read_text()
    last = first.read_text().splitlines()[-1]
    assert re.match(r"headswap: another process of this run was lost .* --resume", last), last
    assert "Traceback" not in first.read_text()
    assert second.read_text() == ""
    assert 2 <= len(run.history()) < EPOCHS

    assert main([*flags(run.folder), "--resume"]) == 0
    assert_same_curve(single, run)


def torchrun_variables(rank: int, port: int) -> dict[str, str]:
    """Return what torchrun sets for a process. torchrun itself would end process 0 as soon as process 1 is gone."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip


def wait_for_epoch(run: Run, epoch: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while len(run.metrics_path.read_text().splitlines()) < epoch:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
