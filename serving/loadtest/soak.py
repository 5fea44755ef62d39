"""Promotions back and forth under load: does a request fail, is an answer wrong, does anyone wait?"""

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
from serving.errors import InputError, ServerError
from serving.loadtest.load import Load
from serving.loadtest.result import LoadResult, RequestSample, percentile
from serving.rollout.live_record import read_record
from serving.rollout.promotion import promote
from serving.rollout.retirement import retire
from serving.rollout.session import Report, ServerSession
from serving.settings import ServerSettings

Transport = Literal["http", "grpc", "both"]
# Time between promotions, in which the usual latency is measured.
PAUSE_S = 1.0
# What counts as before and after a promotion.
AROUND_S = 2.0
# A batch of another size may round differently in the last bits.
TOLERANCE = 1e-4
RECOVERY_TIMEOUT_S = 90.0
POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Plan:
    archives: tuple[Archive, Archive]
    seconds: float
    connections: int
    transport: Transport
    cold: bool = False
    """Unload the previous version after each promotion, so that the next one loads it anew."""
    kill_worker: bool = False
    """Kill a worker of the live version half-way."""

    def __post_init__(self) -> None:
        first, second = self.archives
        if first.name != second.name or first.version == second.version:
            raise InputError(
                f"--versions must be two versions of one model, not {first.name} {first.version} and "
                f"{second.name} {second.version}."
            )
        if self.seconds <= 0:
            raise InputError(f"--seconds must be above 0, not {self.seconds:g}.")
        if self.connections < 1:
            raise InputError(f"--connections must be at least 1, not {self.connections}.")


@dataclass(frozen=True, kw_only=True)
class PromotionTime:
    """When a promotion ran. Times are of time.monotonic()."""

    version: str
    began_s: float
    ended_s: float


@dataclass(frozen=True, kw_only=True)
class SoakResult:
    """What a soak measured. Times are of time.monotonic()."""

    load: LoadResult
    promotions: list[PromotionTime]
    wrong: int
    """Answers that differ from what the version they name answers for that photo when asked alone."""
    began_s: float
    killed_s: float | None
    """When a worker was killed; None where none was."""

    @property
    def is_sound(self) -> bool:
        """Return whether every request was answered, and rightly."""
        return not self.load.failed and not self.wrong

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values: counts, milliseconds, seconds since the soak began."""
        samples = self.load.samples
        during = [sample for sample in samples if self._is_during_promotion(sample)]
        outside = [sample for sample in samples if not self._is_during_promotion(sample)]
        p99_during_ms, p99_outside_ms = _percentile_ms(during, 0.99), _percentile_ms(outside, 0.99)
        return {
            "swaps": len(self.promotions),
            "requests": self.load.requests,
            "failed": self.load.failed,
            "failures": dict(self.load.failures),
            "wrong_answers": self.wrong,
            "retries": self.load.retries,
            "answered_by": dict(self.load.answered_by),
            "p50_ms": {
                "during": _percentile_ms(during, 0.5),
                "outside": _percentile_ms(outside, 0.5),
            },
            "p99_ms": {"during": p99_during_ms, "outside": p99_outside_ms},
            "p99_ratio": round(p99_during_ms / p99_outside_ms, 2) if p99_outside_ms else None,
            "killed_s": None if self.killed_s is None else round(self.killed_s - self.began_s, 2),
            "each_swap": [self._describe(promotion) for promotion in self.promotions],
            "answers_per_second": self._answers_per_second(),
        }

    def _is_during_promotion(self, sample: RequestSample) -> bool:
        return any(
            promotion.began_s <= sample.ended_s and sample.due_s <= promotion.ended_s
            for promotion in self.promotions
        )

    def _describe(self, promotion: PromotionTime) -> dict[str, Any]:
        spans = {
            "before": (promotion.began_s - AROUND_S, promotion.began_s),
            "during": (promotion.began_s, promotion.ended_s),
            "after": (promotion.ended_s, promotion.ended_s + AROUND_S),
        }
        figures: dict[str, Any] = {
            "to": promotion.version,
            "at_s": round(promotion.began_s - self.began_s, 2),
            "seconds": round(promotion.ended_s - promotion.began_s, 2),
        }
        for name, (first_s, last_s) in spans.items():
            samples = [sample for sample in self.load.samples if first_s <= sample.due_s < last_s]
            figures[name] = {
                "requests": len(samples),
                "p50_ms": _percentile_ms(samples, 0.5),
                "p99_ms": _percentile_ms(samples, 0.99),
            }
        return figures

    def _answers_per_second(self) -> list[dict[str, int]]:
        """Return the answers by version, and the failures, of each second since the soak began."""
        seconds: dict[int, Counter[str]] = defaultdict(Counter)
        for sample in self.load.samples:
            key = sample.prediction.version if sample.prediction is not None else "failed"
            seconds[int(sample.ended_s - self.began_s)][key] += 1
        return [dict(seconds[second]) for second in range(max(seconds, default=-1) + 1)]


def soak(
    session: ServerSession, plan: Plan, photos: Sequence[bytes], *, report: Report
) -> SoakResult:
    """Promote the two versions in turns under load and return what was measured; the first is live at the end.

    Raises:
        ServingError: a promotion was refused, or a killed worker was not replaced.
    """
    first, second = plan.archives
    for archive in (second, first):
        if _live_version(session, archive.name) != archive.version:
            promote(session, archive.path, report=report)
    expected = {
        archive.version: _expected_predictions(session, archive, photos)
        for archive in plan.archives
    }
    if plan.cold:
        retire(session, second.name, second.version, report=report)
    load = Load(
        _connector(session.settings, plan.transport), first.name, photos,
        connections=plan.connections, top_k=len(first.class_names),
    )  # fmt: skip
    promotions: list[PromotionTime] = []
    killed_s: float | None = None
    began_s = time.monotonic()
    with load:
        for archive in itertools.cycle((second, first)):
            time.sleep(PAUSE_S)
            elapsed_s = time.monotonic() - began_s
            if plan.kill_worker and killed_s is None and elapsed_s >= plan.seconds / 2:
                killed_s = _kill_worker(session, first.name, report=report)
                elapsed_s = time.monotonic() - began_s
            if elapsed_s >= plan.seconds and archive is second:
                break
            promotions.append(_promote(session, archive, plan, report=report))
    return SoakResult(
        load=load.result,
        promotions=promotions,
        wrong=_count_wrong(load.result, expected),
        began_s=began_s,
        killed_s=killed_s,
    )


def _promote(
    session: ServerSession, archive: Archive, plan: Plan, *, report: Report
) -> PromotionTime:
    began_s = time.monotonic()
    previous = _live_version(session, archive.name)
    promote(session, archive.path, report=lambda _: None)
    ended_s = time.monotonic()
    report(f"{archive.version} is live after {ended_s - began_s:.2f} s")
    if plan.cold and previous is not None:
        retire(session, archive.name, previous, report=lambda _: None)
        # Unloading must not disturb anyone either, so it counts.
        ended_s = time.monotonic()
    return PromotionTime(version=archive.version, began_s=began_s, ended_s=ended_s)


def _connector(settings: ServerSettings, transport: Transport) -> Callable[[], Client]:
    """Return a function that opens a client; with `both`, HTTP and gRPC in turns."""
    kinds: dict[Transport, list[type[HttpClient] | type[GrpcClient]]] = {
        "http": [HttpClient],
        "grpc": [GrpcClient],
        "both": [HttpClient, GrpcClient],
    }
    turns = itertools.cycle(kinds[transport])
    return lambda: next(turns)(settings)


def _expected_predictions(
    session: ServerSession, archive: Archive, photos: Sequence[bytes]
) -> list[Prediction]:
    """Return what the version answers when it is asked by its number, photo by photo."""
    name, version, top_k = archive.name, archive.version, len(archive.class_names)
    return [session.http.predict(name, photo, top_k=top_k, version=version) for photo in photos]


def _count_wrong(result: LoadResult, expected: dict[str, list[Prediction]]) -> int:
    return sum(
        sample.prediction is not None
        and not _is_same(sample.prediction, expected[sample.prediction.version][sample.photo])
        for sample in result.samples
    )


def _is_same(prediction: Prediction, expected: Prediction) -> bool:
    probabilities = {score.index: score.probability for score in prediction.scores}
    return all(
        abs(probabilities.get(score.index, -1.0) - score.probability) <= TOLERANCE
        for score in expected.scores
    )


def _kill_worker(session: ServerSession, model: str, *, report: Report) -> float:
    """Kill one worker of the live version, wait until it is replaced, and return when it was killed."""
    version = session.management.default_version(model)
    pid = session.management.versions(model)[version].ready_pids[0]
    killed_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    report(f"killed worker {pid} of {version}")
    while not _is_replaced(session, model, version, pid):
        if time.monotonic() - killed_s > RECOVERY_TIMEOUT_S:
            raise ServerError(
                f"{model} {version} has not replaced its worker within {RECOVERY_TIMEOUT_S:.0f} s."
            )
        time.sleep(POLL_S)
    report(f"{version} has all its workers again after {time.monotonic() - killed_s:.1f} s")
    return killed_s


def _is_replaced(session: ServerSession, model: str, version: str, killed_pid: int) -> bool:
    loaded = session.management.versions(model)[version]
    return killed_pid not in loaded.ready_pids and len(loaded.ready_pids) >= loaded.min_workers


def _live_version(session: ServerSession, model: str) -> str | None:
    deployment = read_record(session.settings.model_store).get(model)
    return deployment.live.version if deployment else None


def _percentile_ms(samples: Sequence[RequestSample], share: float) -> float:
    answered_ms = [sample.latency_ms for sample in samples if sample.failure is None]
    return round(percentile(answered_ms, share), 1)
