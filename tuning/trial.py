"""One serving configuration measured: throughput and latency by number of connections, and memory."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tuning.serving_config import ServingConfig

# Throughputs nearer than this count as equal: two measurements of one configuration on a quiet host differ by as much.
EQUAL_SHARE = 0.02


@dataclass(frozen=True, kw_only=True)
class Level:
    """Closed loop: each connection sends its next request once the last is answered."""

    connections: int
    photos_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True, kw_only=True)
class OpenLevel:
    """Open loop: requests come at random, however many are still unanswered."""

    load: float
    """0..1 of the throughput that a closed loop reaches."""
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    config: ServingConfig
    levels: tuple[Level, ...]
    """In ascending order of connections; empty where the configuration could not be served."""
    memory_mb: float
    """Of Java and the workers; pages that they share count once."""
    gpu_memory_mb: float | None = None
    error: str | None = None
    """Why the configuration could not be served; None where it was."""

    def best_level(self, max_p99_ms: float | None) -> Level | None:
        """Return the level with the highest throughput, without failures and within the bound; None without one."""
        good = [
            level
            for level in self.levels
            if not level.failed and (max_p99_ms is None or level.p99_ms <= max_p99_ms)
        ]
        return max(good, key=lambda level: level.photos_per_s, default=None)

    def photos_per_s(self, max_p99_ms: float | None) -> float:
        """Return the highest throughput within the bound; 0 where no level keeps it."""
        level = self.best_level(max_p99_ms)
        return level.photos_per_s if level else 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose(trials: Iterable[Trial], max_p99_ms: float | None) -> Trial:
    """Return the fastest trial within the bound; of equally fast ones that of the lowest p99, then of least memory.

    Where none keeps the bound, the one that comes nearest to it. Raises ValueError when none was served.
    """
    served = [trial for trial in trials if trial.error is None]
    if not served:
        raise ValueError("no trial was served")
    fastest = max(trial.photos_per_s(max_p99_ms) for trial in served)
    if fastest == 0:
        return min(served, key=_lowest_p99_ms)
    least = fastest * (1 - EQUAL_SHARE)
    equal = [trial for trial in served if trial.photos_per_s(max_p99_ms) >= least]
    return min(equal, key=lambda trial: _cost(trial, max_p99_ms))


def pool(rounds: Sequence[Trial]) -> Trial:
    """Return one trial for several of the same configuration: medians of throughput and latency, sums of failures.

    Rounds that could not be served are left out, unless all were.
    """
    served = [trial for trial in rounds if trial.error is None]
    if not served:
        return rounds[0]
    levels = tuple(
        Level(
            connections=same[0].connections,
            photos_per_s=statistics.median(level.photos_per_s for level in same),
            p50_ms=statistics.median(level.p50_ms for level in same),
            p99_ms=statistics.median(level.p99_ms for level in same),
            failed=sum(level.failed for level in same),
        )
        for same in zip(*(trial.levels for trial in served), strict=True)
    )
    return Trial(
        config=rounds[0].config,
        levels=levels,
        memory_mb=max(trial.memory_mb for trial in served),
        gpu_memory_mb=served[-1].gpu_memory_mb,
    )


def _lowest_p99_ms(trial: Trial) -> float:
    sound = [level.p99_ms for level in trial.levels if not level.failed]
    return min(sound, default=float("inf"))


def _cost(trial: Trial, max_p99_ms: float | None) -> tuple[float, float]:
    level = trial.best_level(max_p99_ms)
    assert level is not None
    # To two digits: the p99 of a few hundred requests is not more exact, and then memory decides.
    return (float(f"{level.p99_ms:.1e}"), trial.memory_mb)
