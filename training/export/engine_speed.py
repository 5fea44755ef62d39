"""How fast engines answer, in turns: what else the machine does hits all alike."""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from handlers.engines.cpu_engines import Engine

TURNS = 20
# So that a network of seconds a photo does not take minutes.
BUDGET_S = 5.0
TURNS_MIN = 3


def time_in_turns(engines: Sequence[Engine[np.ndarray]], pixels: np.ndarray) -> list[float]:
    """Return each engine's median milliseconds for one photo of `(S, S, 3) uint8`."""
    turns_s: list[list[float]] = [[] for _ in engines]
    # The first pass of some lays out their weights anew: 0.5 s for ResNet-18 in MNN.
    for engine in engines:
        engine.probabilities([pixels])
    until_s = time.monotonic() + BUDGET_S
    while len(turns_s[0]) < TURNS_MIN or (len(turns_s[0]) < TURNS and time.monotonic() < until_s):
        for engine, seconds in zip(engines, turns_s, strict=True):
            began = time.perf_counter()
            engine.probabilities([pixels])
            seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) * 1e3 for seconds in turns_s]
