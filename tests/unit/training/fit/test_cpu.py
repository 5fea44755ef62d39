"""What makes training on a CPU faster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from training.fit import cpu
from training.fit.cpu import MULTITHREADING_MIN, keep_freed_memory, single_thread_below

ROOT = Path(__file__).parents[4]
# 64 MB at a time, freed at once: what a step does with its activations.
PROGRAM = """
import resource, sys, numpy
from training.fit.cpu import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    numpy.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return int(process.stdout)


@pytest.mark.skipif("glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="another C library")
def test_freed_memory_is_not_requested_again() -> None:
    # 20 times 64 MB are 312,500 pages of 4 kB; kept, the first 64 MB serve all.
    assert page_faults("keep") < page_faults("release") / 2


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu.ctypes, "CDLL", lambda _: object())
    keep_freed_memory()


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_small_step_has_one_thread_and_a_large_one_all() -> None:
    with single_thread_below(MULTITHREADING_MIN):
        assert torch.get_num_threads() == 2
    with single_thread_below(MULTITHREADING_MIN - 1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
