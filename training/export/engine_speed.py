"""Time engines in interleaved rounds, so that other load on the machine affects all of them alike."""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from handlers.engines.engine import Engine

ROUNDS = 20
# Limits the time spent on networks that take seconds per photo.
BUDGET_S = 5.0
ROUNDS_MIN = 3


def time_interleaved(engines: Sequence[Engine[np.ndarray]], pixels: np.ndarray) -> list[float]:
    """Return each engine's median time for one photo, `(S, S, 3) uint8`, in milliseconds."""
    times_s: list[list[float]] = [[] for _ in engines]
    # Warm-up: in the first pass some engines rearrange their weights, which takes MNN 0.5 s for ResNet-18.
    for engine in engines:
        engine.probabilities([pixels])
    deadline_s = time.monotonic() + BUDGET_S
    while len(times_s[0]) < ROUNDS_MIN or (
        len(times_s[0]) < ROUNDS and time.monotonic() < deadline_s
    ):
        for engine, seconds in zip(engines, times_s, strict=True):
            began = time.perf_counter()
            engine.probabilities([pixels])
            seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) * 1e3 for seconds in times_s]
