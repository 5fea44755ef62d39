"""Promotions back and forth under load: is anything lost, is anything wrong, does anyone wait?"""

import itertools
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serving.archive.reader import Archive
from serving.client import Client, GrpcClient, HttpClient, Prediction
from serving.client.grpc_management import manage
from serving.client.management_api import ManagementApi
from serving.errors import InputError, ServerError
from serving.loadtest.load import Load, Sample, Tally
from serving.rollout.gates import percentile
from serving.rollout.live_record import read_record
from serving.rollout.promotion import promote
from serving.rollout.readiness import Report
from serving.rollout.retirement import retire
from serving.settings import ServerSettings

Transport = Literal["http", "grpc", "both"]
# Between swaps there must be time enough to see what is usual.
REST_S = 1.0
# What counts as before and after a swap.
AROUND_S = 2.0
# A batch of another size may round differently in the last bits.
SAME = 1e-4
RECOVERY_TIMEOUT_S = 90.0
POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Plan:
    archives: tuple[Archive, Archive]
    seconds: float
    connections: int
    transport: Transport
    cold: bool = False
    """Unload the version that went, so that every promotion loads anew."""
    kill_worker: bool = False
    """Kill a worker of the live version half-way."""

    def __post_init__(self) -> None:
        first, second = self.archives
        if first.name != second.name or first.version == second.version:
            raise InputError(
                f"a soak swaps two versions of one model; {first.name} {first.version} and {second.name} "
                f"{second.version} are none."
            )
        if self.seconds <= 0 or self.connections < 1:
            raise InputError(
                f"a soak of {self.seconds:g} s with {self.connections} connections shows nothing; give more of both."
            )


@dataclass(frozen=True, kw_only=True)
class SwapTime:
    to: str
    began_s: float
    ended_s: float


@dataclass(frozen=True, kw_only=True)
class SoakResult:
    """What a soak saw. Times are of time.monotonic()."""

    tally: Tally
    swaps: list[SwapTime]
    wrong: int
    """Answers that are not what the version they name answers for that photo."""
    began_s: float
    killed_s: float | None

    @property
    def is_sound(self) -> bool:
        return not self.tally.failed and not self.wrong

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values: counts, milliseconds, seconds since the soak began."""
        samples = self.tally.samples
        inside = [one for one in samples if self._is_during(one)]
        outside = [one for one in samples if not self._is_during(one)]
        p99_inside_ms, p99_outside_ms = _p(inside, 0.99), _p(outside, 0.99)
        return {
            "swaps": len(self.swaps),
            "requests": self.tally.requests,
            "failed": self.tally.failed,
            "failures": dict(self.tally.failures),
            "wrong_answers": self.wrong,
            "retries": self.tally.retries,
            "answered_by": dict(self.tally.answered_by),
            "p50_ms": {"during": _p(inside, 0.5), "outside": _p(outside, 0.5)},
            "p99_ms": {"during": p99_inside_ms, "outside": p99_outside_ms},
            "p99_ratio": round(p99_inside_ms / p99_outside_ms, 2) if p99_outside_ms else None,
            "killed_s": None if self.killed_s is None else round(self.killed_s - self.began_s, 2),
            "each_swap": [self._swap(one) for one in self.swaps],
            "answers_per_second": self._per_second(),
        }

    def _is_during(self, sample: Sample) -> bool:
        ended_s = sample.began_s + sample.latency_ms / 1e3
        return any(one.began_s <= ended_s and sample.began_s <= one.ended_s for one in self.swaps)

    def _swap(self, swap: SwapTime) -> dict[str, Any]:
        spans = {
            "before": (swap.began_s - AROUND_S, swap.began_s),
            "during": (swap.began_s, swap.ended_s),
            "after": (swap.ended_s, swap.ended_s + AROUND_S),
        }
        told: dict[str, Any] = {
            "to": swap.to,
            "at_s": round(swap.began_s - self.began_s, 2),
            "seconds": round(swap.ended_s - swap.began_s, 2),
        }
        for name, (first, last) in spans.items():
            found = [one for one in self.tally.samples if first <= one.began_s < last]
            told[name] = {
                "requests": len(found),
                "p50_ms": _p(found, 0.5),
                "p99_ms": _p(found, 0.99),
            }
        return told

    def _per_second(self) -> list[dict[str, int]]:
        seconds: dict[int, Counter[str]] = defaultdict(Counter)
        for one in self.tally.samples:
            who = one.answer.version if one.answer is not None else "failed"
            seconds[int(one.began_s + one.latency_ms / 1e3 - self.began_s)][who] += 1
        return [dict(seconds[second]) for second in range(max(seconds, default=-1) + 1)]


def soak(
    settings: ServerSettings, plan: Plan, photos: Sequence[bytes], *, report: Report
) -> SoakResult:
    """Promote the two versions in turns under load and return what was seen; the first is live at the end.

    Raises:
        ServingError: a promotion was refused, or a killed worker did not come back.
    """
    first, second = plan.archives
    for archive in (second, first):
        if _live(settings, archive.name) != archive.version:
            promote(settings, archive.path, report=report)
    own = {one.version: _own_answers(settings, one, photos) for one in plan.archives}
    if plan.cold:
        retire(settings, second.name, second.version, report=report)
    load = Load(
        _connector(settings, plan.transport), first.name, photos,
        connections=plan.connections, top_k=len(first.class_names),
    )  # fmt: skip
    swaps: list[SwapTime] = []
    killed_s: float | None = None
    began_s = time.monotonic()
    with load:
        for archive in itertools.cycle((second, first)):
            time.sleep(REST_S)
            if (
                plan.kill_worker
                and killed_s is None
                and time.monotonic() - began_s >= plan.seconds / 2
            ):
                killed_s = _kill_worker(settings, first.name, report=report)
            if time.monotonic() - began_s >= plan.seconds and archive is second:
                break
            swaps.append(_swap(settings, archive, plan, report=report))
    return SoakResult(
        tally=load.tally,
        swaps=swaps,
        wrong=_count_wrong(load.tally, own),
        began_s=began_s,
        killed_s=killed_s,
    )


def _swap(settings: ServerSettings, archive: Archive, plan: Plan, *, report: Report) -> SwapTime:
    began_s = time.monotonic()
    before = _live(settings, archive.name)
    promote(settings, archive.path, report=lambda _: None)
    ended_s = time.monotonic()
    report(f"{archive.version} is live after {ended_s - began_s:.2f} s")
    if plan.cold and before is not None:
        retire(settings, archive.name, before, report=lambda _: None)
        # Unloading is part of what must disturb nobody.
        ended_s = time.monotonic()
    return SwapTime(to=archive.version, began_s=began_s, ended_s=ended_s)


def _connector(settings: ServerSettings, transport: Transport) -> Callable[[], Client]:
    kinds: dict[Transport, list[type[HttpClient] | type[GrpcClient]]] = {
        "http": [HttpClient],
        "grpc": [GrpcClient],
        "both": [HttpClient, GrpcClient],
    }
    turns = itertools.cycle(kinds[transport])
    return lambda: next(turns)(settings)


def _own_answers(
    settings: ServerSettings, archive: Archive, photos: Sequence[bytes]
) -> list[Prediction]:
    """Return what the version answers when it is asked by its number, photo by photo."""
    with HttpClient(settings) as client:
        return [
            client.predict(
                archive.name, photo, top_k=len(archive.class_names), version=archive.version
            )
            for photo in photos
        ]


def _count_wrong(tally: Tally, own: dict[str, list[Prediction]]) -> int:
    return sum(
        one.answer is not None and not _is_same(one.answer, own[one.answer.version][one.photo])
        for one in tally.samples
    )


def _is_same(answer: Prediction, expected: Prediction) -> bool:
    found = {guess.index: guess.probability for guess in answer.guesses}
    return all(
        abs(found.get(guess.index, -1.0) - guess.probability) <= SAME for guess in expected.guesses
    )


def _kill_worker(settings: ServerSettings, model: str, *, report: Report) -> float:
    """Kill one worker of the live version, wait until it is replaced, and return when it was killed."""
    with manage(settings) as management:
        version = management.default_version(model)
        pid = management.versions(model)[version].ready_pids[0]
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        report(f"killed worker {pid} of {version}")
        while pid in management.versions(model)[version].ready_pids or not _has_workers(
            management, model, version
        ):
            if time.monotonic() - killed_s > RECOVERY_TIMEOUT_S:
                raise ServerError(
                    f"{model} {version} has not replaced its worker within {RECOVERY_TIMEOUT_S:.0f} s."
                )
            time.sleep(POLL_S)
        report(f"{version} has all its workers again after {time.monotonic() - killed_s:.1f} s")
        return killed_s


def _has_workers(management: ManagementApi, model: str, version: str) -> bool:
    loaded = management.versions(model)[version]
    return len(loaded.ready_pids) >= loaded.min_workers


def _live(settings: ServerSettings, model: str) -> str | None:
    deployment = read_record(settings.model_store).get(model)
    return deployment.live.version if deployment else None


def _p(samples: Sequence[Sample], share: float) -> float:
    answered = [one.latency_ms for one in samples if one.answer is not None]
    return round(percentile(answered, share), 1)
