"""Two processes on the CPU: what they compute together is what one computes alone."""

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
def processes(*words: str | Path, count: int = 2) -> Iterator[list[subprocess.Popen[str]]]:
    """Yield Python processes that find each other as torchrun's do; end those that are left."""
    shared = {
        **os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", *map(str, words)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    try:
        yield started
    finally:
        for one in started:
            one.kill()
            one.communicate()


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Return what processes 0 and 1 of the workshop printed."""
    with processes(PROCESSES) as started:
        said = [one.communicate(timeout=DEADLINE_S)[0] for one in started]
    assert [one.returncode for one in started] == [1, -signal.SIGKILL], said
    return said


@pytest.mark.parametrize(
    "case",
    [
        "step_is_that_of_one_process",
        "parts_make_the_whole",
        "pseudo_labels_are_those_of_one_process",
        "fault_of_the_first_ends_all",
    ],
)
def test_two_processes_compute_what_one_does(said: list[str], case: str) -> None:
    assert all(f"{case}: done" in one for one in said), said


def test_a_lost_process_is_one_sentence_in_the_others(said: list[str]) -> None:
    last = said[0].splitlines()[-1]
    assert last.startswith("PeerLostError: another process of this run was lost"), said
    assert "--resume" in last
