"""Measures one setting on the trial server: warm-up, then level after level of connections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from serving.errors import ServingError
from tuning.errors import InputError, TuningError
from tuning.load import OK, ask_each, closed_loop, open_loop
from tuning.memory import free_memory_mb, gpu_memory_mb
from tuning.serving_config import ServingConfig
from tuning.trial import Level, OpenLevel, Trial
from tuning.trial_server import TrialServer

Photo = TypeVar("Photo")
# Enough to be mixed, few enough to lie in memory.
LARGEST_PHOTO_COUNT = 64
WARM_UP_SHARE = 0.4
# New workers: 149, 168, 186, 205 photos/s in their first four seconds.
LOADED_WARM_UP_SHARE = 1.0
# Java compiles what it runs often: a third of a core in its first ten seconds, a tenth after that.
FIRST_WARM_UP_S = 8.0
# An open loop's p99 settles later: the queue has a memory.
OPEN_LEVELS = 4
# Of the memory that is free, so much may be planned for workers.
MEMORY_SHARE = 0.85


@dataclass(kw_only=True)
class Measurer:
    """Calls are `measure`: a setting in, a point out."""

    server: TrialServer
    photos: Sequence[bytes]
    connections: Sequence[int]
    level_s: float
    max_p99_ms: float | None = None
    has_gpu: bool = False
    is_warm: bool = False
    held_mb: float = 0.0
    """What the setting before took."""
    worker_mb: float = 0.0
    """That, for each of its workers."""

    def quick(self, setting: ServingConfig) -> Trial:
        """Return the point with as few levels as tell its rate within the bound."""
        if self.max_p99_ms is None:
            return self._measure(setting, self.connections[-1:], self.level_s)
        return self._measure(setting, self.connections[1:], self.level_s)

    def thorough(self, setting: ServingConfig) -> Trial:
        """Return the point with every level."""
        return self._measure(setting, self.connections, 1.5 * self.level_s, stops_early=False)

    def open(
        self, setting: ServingConfig, loads: Sequence[float], rate_per_s: float
    ) -> list[OpenLevel]:
        """Return what clients see when requests come by themselves, at these shares of a rate. Raises ServingError."""
        self.server.load(setting)
        seconds = OPEN_LEVELS * self.level_s
        levels = []
        for load in loads:
            seen = open_loop(
                self.server.target(), self.photos, rate_per_s=load * rate_per_s, seconds=seconds
            )
            levels.append(
                OpenLevel(
                    load=load,
                    requests_per_s=round(load * rate_per_s, 2),
                    p50_ms=round(seen.p(0.5), 2),
                    p99_ms=round(seen.p(0.99), 2),
                    failed=seen.failed,
                )
            )
        return levels

    def _measure(
        self,
        setting: ServingConfig,
        connections: Sequence[int],
        seconds: float,
        *,
        stops_early: bool = True,
    ) -> Trial:
        if (missing_mb := self._missing_mb(setting)) > 0:
            return _fault(setting, f"needs about {missing_mb:.0f} MB more than there is")
        try:
            self.server.load(setting)
            levels: list[Level] = []
            self._warm_up(connections[0], seconds)
            for count in connections:
                levels.append(self._level(count, seconds))
                if stops_early and self._is_late(levels[-1]):
                    break
            if stops_early and all(map(self._is_late, levels)) and connections[0] > 1:
                levels.insert(0, self._level(1, seconds))
            memory_mb = self.server.memory_mb()
        except (ServingError, TuningError) as error:
            return _fault(setting, str(error))
        self.held_mb, self.worker_mb = memory_mb, memory_mb / setting.workers
        return Trial(
            setting=setting,
            levels=tuple(levels),
            memory_mb=round(memory_mb),
            gpu_memory_mb=gpu_memory_mb() if self.has_gpu else None,
        )

    def _warm_up(self, connections: int, seconds: float) -> None:
        seconds = LOADED_WARM_UP_SHARE * seconds + (0.0 if self.is_warm else FIRST_WARM_UP_S)
        closed_loop(self.server.target(), self.photos, connections=connections, seconds=seconds)
        self.is_warm = True

    def _level(self, connections: int, seconds: float) -> Level:
        seen = closed_loop(
            self.server.target(), self.photos,
            connections=connections, seconds=seconds, warm_up_s=WARM_UP_SHARE * seconds,
        )  # fmt: skip
        return Level(
            connections=connections,
            photos_per_s=round(seen.per_s, 2),
            p50_ms=round(seen.p(0.5), 2),
            p99_ms=round(seen.p(0.99), 2),
            failed=seen.failed,
        )

    def _is_late(self, level: Level) -> bool:
        return self.max_p99_ms is not None and level.p99_ms > self.max_p99_ms

    def _missing_mb(self, setting: ServingConfig) -> float:
        # What is loaded now goes away first.
        available_mb = MEMORY_SHARE * (free_memory_mb() + self.held_mb)
        return setting.workers * self.worker_mb - available_mb


def pick_photos(photos: Sequence[Photo]) -> list[Photo]:
    """Return at most 64 of them, evenly picked."""
    count = min(len(photos), LARGEST_PHOTO_COUNT)
    return [photos[index * len(photos) // count] for index in range(count)]


def only_good(server: TrialServer, photos: Sequence[bytes]) -> list[bytes]:
    """Return the photos that the loaded archive answers. Raises InputError where it answers none."""
    statuses = ask_each(server.target(), photos)
    good = [photo for photo, status in zip(photos, statuses, strict=True) if status == OK]
    if not good:
        raise InputError(
            f"none of {len(photos)} photos was answered (HTTP {sorted(set(statuses))}); give --photos with photos that "
            "the archive can classify."
        )
    return good


def _fault(setting: ServingConfig, why: str) -> Trial:
    return Trial(setting=setting, levels=(), memory_mb=0, fault=why)
