"""One setting measured: what it answered with so many connections, and what it took."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tuning.serving_config import ServingConfig

# Rates nearer than this are one: what the same setting shows twice on a quiet host differs by as much.
SAME_RATE = 0.02


@dataclass(frozen=True, kw_only=True)
class Level:
    """Closed loop: each connection asks again as soon as it is answered."""

    connections: int
    photos_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True, kw_only=True)
class OpenLevel:
    """Open loop: requests come on their own, as from many clients, whatever became of those before."""

    load: float
    """0..1 of the rate a closed loop reaches."""
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    setting: ServingConfig
    levels: tuple[Level, ...]
    """Ascending in connections; empty where there is a fault."""
    memory_mb: float
    """Of Java and the workers; pages they share count once."""
    gpu_memory_mb: float | None = None
    fault: str | None = None
    """Why it could not be served at all."""

    def best(self, max_p99_ms: float | None) -> Level | None:
        """Return the level with most photos a second, none of them failed, within the bound; None without one."""
        good = [
            level
            for level in self.levels
            if not level.failed and (max_p99_ms is None or level.p99_ms <= max_p99_ms)
        ]
        return max(good, key=lambda level: level.photos_per_s, default=None)

    def rate(self, max_p99_ms: float | None) -> float:
        """Return its photos a second within the bound; 0 where it cannot keep it."""
        level = self.best(max_p99_ms)
        return level.photos_per_s if level else 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose(points: Iterable[Trial], max_p99_ms: float | None) -> Trial:
    """Return the fastest point within the bound; of equally fast ones the soonest, then the smallest.

    Where none keeps the bound, the one that comes nearest to it. Raises ValueError for no points.
    """
    served = [point for point in points if point.fault is None]
    if not served:
        raise ValueError("no point was served")
    fastest = max(point.rate(max_p99_ms) for point in served)
    if fastest == 0:
        return min(served, key=_least_p99)
    equal = [point for point in served if point.rate(max_p99_ms) >= fastest * (1 - SAME_RATE)]
    return min(equal, key=lambda point: _cost(point, max_p99_ms))


def pool(rounds: Sequence[Trial]) -> Trial:
    """Return one point for several measurements of a setting: the median of each figure, all failures.

    One of which was not served at all counts only where all were not.
    """
    served = [point for point in rounds if point.fault is None]
    if not served:
        return rounds[0]
    levels = tuple(
        Level(
            connections=same[0].connections,
            photos_per_s=statistics.median(one.photos_per_s for one in same),
            p50_ms=statistics.median(one.p50_ms for one in same),
            p99_ms=statistics.median(one.p99_ms for one in same),
            failed=sum(one.failed for one in same),
        )
        for same in zip(*(point.levels for point in served), strict=True)
    )
    return Trial(
        setting=rounds[0].setting,
        levels=levels,
        memory_mb=max(point.memory_mb for point in served),
        gpu_memory_mb=served[-1].gpu_memory_mb,
    )


def _least_p99(point: Trial) -> float:
    sound = [level.p99_ms for level in point.levels if not level.failed]
    return min(sound, default=float("inf"))


def _cost(point: Trial, max_p99_ms: float | None) -> tuple[float, float]:
    level = point.best(max_p99_ms)
    assert level is not None
    # Rounded to a tenth: a p99 of a few hundred requests says no more, and then memory decides.
    return (float(f"{level.p99_ms:.1e}"), point.memory_mb)
