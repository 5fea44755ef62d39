"""What a version must show before it goes live, asked of that very version on the running server.

Its probes are always asked (serving/rollout/readiness.py); the rest is for the one who promotes to choose.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.archive.reader import Archive
from serving.client import HttpClient, Prediction, map_in_order
from serving.errors import PHOTO_CODES, InputError, PromotionError, RequestError
from serving.rollout.gate_photos import LabelledPhoto, read_labelled_photos
from serving.rollout.live_record import Entry
from serving.rollout.readiness import Report
from serving.settings import ServerSettings

# Enough of them that the second worst is the 99th percentile.
LATENCY_REQUESTS = 200
# Two in flight keep two workers of the candidate busy and leave the live version its cores.
IN_FLIGHT = 2


@dataclass(frozen=True, kw_only=True)
class Gates:
    """None or 0: not asked for."""

    data: Path | None = None
    """Folder of class folders."""
    min_accuracy: float | None = None
    """0..1 of the photos in `data`."""
    max_drop: float | None = None
    """How much less than the live version's accuracy is allowed, 0..1."""
    max_p99_ms: float | None = None
    """Of one request at a time."""
    shadow: int = 0
    """Photos answered by both versions, to show where they differ. Nothing is refused for it."""

    def __post_init__(self) -> None:
        for name in ("min_accuracy", "max_drop"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"--{name.replace('_', '-')} is {value}; a share from 0 to 1 is.")
            if value is not None and self.data is None:
                raise InputError(
                    f"--{name.replace('_', '-')} needs labelled photos; give --gate-data FOLDER."
                )
        if self.max_p99_ms is not None and self.max_p99_ms <= 0:
            raise InputError(f"--max-p99-ms is {self.max_p99_ms}; a positive number is.")
        if self.shadow < 0:
            raise InputError(f"--shadow is {self.shadow}; a number of photos is.")
        if self.shadow and self.data is None:
            raise InputError("--shadow needs photos; give --gate-data FOLDER.")


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """One version's answers for the same photos; None where it refused one."""

    predictions: list[Prediction | None]
    latencies_ms: list[float]

    def accuracy(self, photos: Sequence[LabelledPhoto]) -> float:
        right = sum(
            answer is not None and answer.top.label == photo.label
            for answer, photo in zip(self.predictions, photos, strict=True)
        )
        return right / len(photos)


def check_gates(
    settings: ServerSettings,
    candidate: Archive,
    live: Entry | None,
    gates: Gates,
    *,
    report: Report,
) -> None:
    """Return when the loaded candidate has passed; both versions are asked over HTTP, each by its number.

    Raises:
        PromotionError: it has not; says by how much. InputError: the photos cannot be used.
        RequestError: a version does not answer.
    """
    photos = (
        read_labelled_photos(gates.data, candidate.class_names) if gates.data is not None else []
    )
    with HttpClient(settings) as client:
        if gates.min_accuracy is not None or gates.max_drop is not None:
            _check_accuracy(client, candidate, live, photos, gates=gates, report=report)
        if gates.shadow and live is not None:
            _show_shadow(client, candidate, live, photos[: gates.shadow], report=report)
        if gates.max_p99_ms is not None:
            _check_latency(client, candidate, photos, gates.max_p99_ms, report=report)


def _check_accuracy(
    client: HttpClient,
    candidate: Archive,
    live: Entry | None,
    photos: Sequence[LabelledPhoto],
    *,
    gates: Gates,
    report: Report,
) -> None:
    accuracy = _ask(client, candidate.name, candidate.version, photos).accuracy(photos)
    told = f"{candidate.name} {candidate.version} has {accuracy:.1%} of {len(photos)} photos right"
    if gates.min_accuracy is not None and accuracy < gates.min_accuracy:
        raise PromotionError(f"{told}, less than {gates.min_accuracy:.1%}.")
    if live is None or gates.max_drop is None:
        report(told)
        return
    before = _ask(client, candidate.name, live.version, photos).accuracy(photos)
    told += f", the live version {before:.1%}"
    # Half a photo of slack: shares of whole photos do not add up exactly in floating point.
    if before - accuracy > gates.max_drop + 0.5 / len(photos):
        raise PromotionError(f"{told}: a drop beyond {gates.max_drop:.1%}.")
    report(told)


def _show_shadow(
    client: HttpClient,
    candidate: Archive,
    live: Entry,
    photos: Sequence[LabelledPhoto],
    *,
    report: Report,
) -> None:
    new = _ask(client, candidate.name, candidate.version, photos)
    old = _ask(client, candidate.name, live.version, photos)
    pairs = [
        (photo, a, b)
        for photo, a, b in zip(photos, new.predictions, old.predictions, strict=True)
        if a is not None and b is not None
    ]
    differing = [(photo, a, b) for photo, a, b in pairs if a.top.label != b.top.label]
    agreement = 1 - len(differing) / len(pairs) if pairs else 0.0
    report(
        f"{candidate.version} and {live.version} agree on {agreement:.1%} of {len(pairs)} photos; median "
        f"{percentile(new.latencies_ms, 0.5):.0f} and {percentile(old.latencies_ms, 0.5):.0f} ms, p99 "
        f"{percentile(new.latencies_ms, 0.99):.0f} and {percentile(old.latencies_ms, 0.99):.0f} ms"
    )
    for photo, a, b in differing[:10]:
        report(
            f"  {photo.path}: {a.top.label} ({a.top.probability:.2f}), was {b.top.label} ({b.top.probability:.2f})"
        )


def _check_latency(
    client: HttpClient,
    candidate: Archive,
    photos: Sequence[LabelledPhoto],
    max_p99_ms: float,
    *,
    report: Report,
) -> None:
    bodies = [photo.read() for photo in photos[:LATENCY_REQUESTS]] or [
        probe.data for probe in candidate.probes
    ]
    latencies_ms = []
    for number in range(LATENCY_REQUESTS):
        began = time.perf_counter()
        client.predict(candidate.name, bodies[number % len(bodies)], version=candidate.version)
        latencies_ms.append((time.perf_counter() - began) * 1e3)
    p99_ms = percentile(latencies_ms, 0.99)
    told = f"{candidate.name} {candidate.version} answers {LATENCY_REQUESTS} requests with a p99 of {p99_ms:.0f} ms"
    if p99_ms > max_p99_ms:
        raise PromotionError(f"{told}, more than {max_p99_ms:g} ms.")
    report(told)


def _ask(client: HttpClient, model: str, version: str, photos: Sequence[LabelledPhoto]) -> _Answers:
    latencies_ms: list[float] = []

    def answer(photo: bytes) -> Prediction:
        began = time.perf_counter()
        prediction = client.predict(model, photo, top_k=1, version=version)
        latencies_ms.append((time.perf_counter() - began) * 1e3)
        return prediction

    predictions: list[Prediction | None] = []
    for outcome in map_in_order(answer, (photo.read() for photo in photos), in_flight=IN_FLIGHT):
        if isinstance(outcome, Prediction):
            predictions.append(outcome)
        elif isinstance(outcome, RequestError) and outcome.code in PHOTO_CODES:
            # A photo that is none counts as wrong for either version.
            predictions.append(None)
        else:
            raise outcome
    return _Answers(predictions=predictions, latencies_ms=latencies_ms)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of them stay within; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
