import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
# 64 MB at a time, freed at once: what a step does with its activations.
PROGRAM = """
import resource, sys, numpy
from training.fit.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(20):
    numpy.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(word: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, word], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif("glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="another C library")
def test_what_is_freed_is_not_asked_for_again() -> None:
    # 20 times 64 MB are 312,500 pages of 4 kB; kept, the first 64 MB serve all.
    assert page_faults("keep") < page_faults("hand back") / 2


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from training.fit import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory.keep_freed_memory()
