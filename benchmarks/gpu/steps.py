"""The steps of the check, in order, each with its own time limit; all together end within nine minutes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

TOTAL_LIMIT_S = 540


@dataclass(frozen=True, kw_only=True)
class Step:
    title: str
    limit_s: float
    command: Sequence[str]
    """Given the path of the context as last argument."""


def _step(name: str, title: str, limit_s: float) -> Step:
    command = [sys.executable, "-m", f"benchmarks.gpu.{name}"]
    return Step(title=title, limit_s=limit_s, command=command)


STEPS = {
    "agreement": _step("agreement", "the GPU agrees with the CPU", 75),
    "server": _step("server", "a server starts, answers, and replaces a worker", 70),
    "throughput": _step("throughput", "requests per second", 200),
    "memory": _step("memory", "memory, and a full GPU", 50),
    "training": _step("training", "training", 105),
    "torchrun": _step("torchrun", "torchrun equals a plain run", 40),
}
