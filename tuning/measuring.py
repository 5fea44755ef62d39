"""Measures one configuration on the trial server: warm-up, then one level after another."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from serving.errors import InputError, ServingError
from serving.loadtest.load import closed_loop, open_loop, send_each
from tuning.memory import free_memory_mb, gpu_memory_mb
from tuning.serving_config import ServingConfig
from tuning.trial import Level, OpenLevel, Trial
from tuning.trial_server import TrialServer

Photo = TypeVar("Photo")
# Enough for a mixture, few enough to hold in memory.
LARGEST_PHOTO_COUNT = 64
WARM_UP_SHARE = 0.4
# New workers: 149, 168, 186, 205 photos/s in their first four seconds.
LOADED_WARM_UP_SHARE = 1.0
# Java compiles what it runs often: a third of a core in its first ten seconds, a tenth after that.
FIRST_WARM_UP_S = 8.0
# An open loop needs longer than a closed one until its p99 is stable: the queue has a memory.
OPEN_LEVELS = 4
# How much of the free memory the workers may be expected to take.
MEMORY_SHARE = 0.85


@dataclass(kw_only=True)
class Measurer:
    """`quick` and `thorough` turn a configuration into a trial."""

    server: TrialServer
    photos: Sequence[bytes]
    connections: Sequence[int]
    level_s: float
    max_p99_ms: float | None = None
    has_gpu: bool = False
    is_warm: bool = False
    loaded_mb: float = 0.0
    """Memory of the configuration that is loaded."""
    worker_mb: float = 0.0
    """That, divided by its number of workers."""

    def quick(self, config: ServingConfig) -> Trial:
        """Return a trial with as few levels as show its throughput within the bound."""
        if self.max_p99_ms is None:
            return self._measure(config, self.connections[-1:], self.level_s)
        return self._measure(config, self.connections[1:], self.level_s)

    def thorough(self, config: ServingConfig) -> Trial:
        """Return a trial with every level."""
        return self._measure(config, self.connections, 1.5 * self.level_s, stops_early=False)

    def open(
        self, config: ServingConfig, loads: Sequence[float], photos_per_s: float
    ) -> list[OpenLevel]:
        """Return latencies under requests at random, at these shares of a throughput. Raises ServingError."""
        self.server.load(config)
        seconds = OPEN_LEVELS * self.level_s
        levels = []
        for load in loads:
            rate_per_s = load * photos_per_s
            result = open_loop(
                self.server.target(), self.photos, rate_per_s=rate_per_s, seconds=seconds
            )
            levels.append(
                OpenLevel(
                    load=load,
                    requests_per_s=round(rate_per_s, 2),
                    p50_ms=round(result.percentile_ms(0.5), 2),
                    p99_ms=round(result.percentile_ms(0.99), 2),
                    failed=result.failed,
                )
            )
        return levels

    def _measure(
        self,
        config: ServingConfig,
        connections: Sequence[int],
        seconds: float,
        *,
        stops_early: bool = True,
    ) -> Trial:
        if (missing_mb := self._missing_mb(config)) > 0:
            return _failed_trial(config, f"needs about {missing_mb:.0f} MB more than is free")
        try:
            self.server.load(config)
            levels: list[Level] = []
            self._warm_up(connections[0], seconds)
            for count in connections:
                levels.append(self._level(count, seconds))
                if stops_early and self._is_late(levels[-1]):
                    break
            if stops_early and all(map(self._is_late, levels)) and connections[0] > 1:
                levels.insert(0, self._level(1, seconds))
            memory_mb = self.server.memory_mb()
        except ServingError as error:
            return _failed_trial(config, str(error))
        self.loaded_mb, self.worker_mb = memory_mb, memory_mb / config.workers
        return Trial(
            config=config,
            levels=tuple(levels),
            memory_mb=round(memory_mb),
            gpu_memory_mb=gpu_memory_mb() if self.has_gpu else None,
        )

    def _warm_up(self, connections: int, seconds: float) -> None:
        seconds = LOADED_WARM_UP_SHARE * seconds + (0.0 if self.is_warm else FIRST_WARM_UP_S)
        closed_loop(self.server.target(), self.photos, connections=connections, seconds=seconds)
        self.is_warm = True

    def _level(self, connections: int, seconds: float) -> Level:
        result = closed_loop(
            self.server.target(), self.photos,
            connections=connections, seconds=seconds, warm_up_s=WARM_UP_SHARE * seconds,
        )  # fmt: skip
        return Level(
            connections=connections,
            photos_per_s=round(result.requests_per_s, 2),
            p50_ms=round(result.percentile_ms(0.5), 2),
            p99_ms=round(result.percentile_ms(0.99), 2),
            failed=result.failed,
        )

    def _is_late(self, level: Level) -> bool:
        return self.max_p99_ms is not None and level.p99_ms > self.max_p99_ms

    def _missing_mb(self, config: ServingConfig) -> float:
        # What is loaded now is unloaded first.
        available_mb = MEMORY_SHARE * (free_memory_mb() + self.loaded_mb)
        return config.workers * self.worker_mb - available_mb


def pick_photos(photos: Sequence[Photo]) -> list[Photo]:
    """Return at most 64 of the photos, evenly spaced."""
    count = min(len(photos), LARGEST_PHOTO_COUNT)
    return [photos[index * len(photos) // count] for index in range(count)]


def classifiable(server: TrialServer, photos: Sequence[bytes]) -> list[bytes]:
    """Return the photos that the loaded archive classifies. Raises InputError when it classifies none."""
    samples = send_each(server.target(), photos)
    good = [photo for photo, sample in zip(photos, samples, strict=True) if sample.failure is None]
    if not good:
        failures = Counter(str(sample.failure) for sample in samples)
        raise InputError(
            f"none of the {len(photos)} photos was classified ({', '.join(sorted(failures))}); give --photos that the "
            "archive can classify."
        )
    return good


def _failed_trial(config: ServingConfig, error: str) -> Trial:
    return Trial(config=config, levels=(), memory_mb=0, error=error)
