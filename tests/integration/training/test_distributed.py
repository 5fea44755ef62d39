"""Two processes on the CPU: what they compute together, compared with what one computes alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers import free_port

ROOT = Path(__file__).parents[3]
PROCESSES = Path(__file__).with_name("processes.py")
DEADLINE_S = 240


@contextmanager
def processes(*argv: str | Path, count: int = 2) -> Iterator[list[subprocess.Popen[str]]]:
    """Yield Python processes that find each other as torchrun's do; end those that are left."""
    shared = {
        **os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", *map(str, argv)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def outputs() -> list[str]:
    """Return what processes 0 and 1 of processes.py printed."""
    with processes(PROCESSES) as started:
        outputs = [process.communicate(timeout=DEADLINE_S)[0] for process in started]
    assert [process.returncode for process in started] == [1, -signal.SIGKILL], outputs
    return outputs


@pytest.mark.parametrize(
    "case",
    [
        "step_with_frozen_statistics_is_that_of_one_process",
        "trained_statistics_are_each_process_s_own",
        "one_photo_or_none_leaves_trained_statistics_alone",
        "parts_make_the_whole",
        "pseudo_labels_are_those_of_one_process",
        "failure_of_process_0_ends_all",
    ],
)
def test_two_processes_compute_what_they_should(outputs: list[str], case: str) -> None:
    assert all(f"{case}: done" in output for output in outputs), outputs


def test_a_lost_process_is_one_sentence_in_the_others(outputs: list[str]) -> None:
    last = outputs[0].splitlines()[-1]
    assert last.startswith("PeerLostError: another process of this run was lost"), outputs
    assert "--resume" in last
