"""What a version must pass before it goes live, measured on that very version as the running server serves it.

Its probes always have to be right (readiness.py); the other checks are the choice of the user who promotes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.archive.reader import Archive
from serving.client import Client, Prediction, map_in_order
from serving.errors import PHOTO_CODES, InputError, PromotionError, RequestError
from serving.rollout.live_record import Entry
from serving.rollout.session import Report

# Enough that two of them lie above the 99th percentile.
LATENCY_REQUESTS = 200
# Two at a time keep two workers of the candidate busy and leave the live version its cores.
IN_FLIGHT = 2
DIFFERENCES_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Gates:
    """None or 0 leaves a gate out."""

    data: Path | None = None
    """Folder with a folder of photos per class."""
    min_accuracy: float | None = None
    """0..1, on the photos in `data`."""
    max_drop: float | None = None
    """By how much the accuracy may be lower than the live version's, 0..1."""
    max_p99_ms: float | None = None
    """Of requests sent one at a time."""
    shadow: int = 0
    """Photos that both versions answer, to report where they differ; nothing is refused for that."""

    def __post_init__(self) -> None:
        for name in ("min_accuracy", "max_drop"):
            flag, value = f"--{name.replace('_', '-')}", getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{flag} must be between 0 and 1, not {value}.")
            if value is not None and self.data is None:
                raise InputError(f"{flag} needs labelled photos; give --gate-data FOLDER.")
        if self.max_p99_ms is not None and self.max_p99_ms <= 0:
            raise InputError(f"--max-p99-ms must be above 0, not {self.max_p99_ms}.")
        if self.shadow < 0:
            raise InputError(f"--shadow must be 0 or more photos, not {self.shadow}.")
        if self.shadow and self.data is None:
            raise InputError("--shadow needs photos; give --gate-data FOLDER.")


@dataclass(frozen=True, kw_only=True)
class LabelledPhoto:
    path: Path
    label: str

    def read(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """One version's answers to the same photos."""

    predictions: list[Prediction | None]
    """In the order of the photos; None for a photo it rejected."""
    latencies_ms: list[float]

    def accuracy(self, photos: Sequence[LabelledPhoto]) -> float:
        """Return the share of the photos that are predicted right, 0..1."""
        right = sum(
            prediction is not None and prediction.top.label == photo.label
            for prediction, photo in zip(self.predictions, photos, strict=True)
        )
        return right / len(photos)


def check_gates(
    client: Client, candidate: Archive, live: Entry | None, gates: Gates, *, report: Report
) -> None:
    """Return if the candidate, which must be loaded, passes; requests name the version they are for.

    Raises:
        PromotionError: it does not; says by how much. InputError: the photos cannot be used.
        RequestError: a version does not answer.
    """
    photos = (
        read_labelled_photos(gates.data, candidate.class_names) if gates.data is not None else []
    )
    if gates.min_accuracy is not None or gates.max_drop is not None:
        _check_accuracy(client, candidate, live, photos, gates=gates, report=report)
    if gates.shadow and live is not None:
        _report_shadow(client, candidate, live, photos[: gates.shadow], report=report)
    if gates.max_p99_ms is not None:
        _check_latency(client, candidate, photos, gates.max_p99_ms, report=report)


def read_labelled_photos(folder: Path, class_names: Sequence[str]) -> list[LabelledPhoto]:
    """Return the photos of FOLDER/CLASS/PHOTO, alternating between the classes, so that the first few show them all.

    Raises:
        InputError: there is no such folder, a class that the version does not have, or no photo.
    """
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {str(folder)!r}; give one that holds a folder per class."
        )
    class_folders = sorted(path for path in folder.iterdir() if path.is_dir())
    unknown = [path.name for path in class_folders if path.name not in class_names]
    if unknown:
        raise InputError(
            f"{folder} holds a folder {unknown[0]!r}, which is not a class of this version ({', '.join(class_names)}); "
            "give the folder right above the class folders, such as DATA/test."
        )
    photos_by_class = [
        [
            LabelledPhoto(path=path, label=class_folder.name)
            for path in sorted(class_folder.iterdir())
            if _is_photo(path)
        ]
        for class_folder in class_folders
    ]
    photos = [
        photos_of_class[turn]
        for turn in range(max(map(len, photos_by_class), default=0))
        for photos_of_class in photos_by_class
        if turn < len(photos_of_class)
    ]
    if not photos:
        raise InputError(f"{folder} holds no photos in class folders.")
    return photos


def _is_photo(path: Path) -> bool:
    # Whatever its suffix: a file that is not a photo counts as a wrong answer and is noticed that way.
    return path.is_file() and not path.name.startswith(".")


def _check_accuracy(
    client: Client,
    candidate: Archive,
    live: Entry | None,
    photos: Sequence[LabelledPhoto],
    *,
    gates: Gates,
    report: Report,
) -> None:
    accuracy = _ask(client, candidate.name, candidate.version, photos).accuracy(photos)
    result = (
        f"{candidate.name} {candidate.version} has {accuracy:.1%} of {len(photos)} photos right"
    )
    if gates.min_accuracy is not None and accuracy < gates.min_accuracy:
        raise PromotionError(f"{result}, less than {gates.min_accuracy:.1%}.")
    if live is None or gates.max_drop is None:
        report(result)
        return
    live_accuracy = _ask(client, candidate.name, live.version, photos).accuracy(photos)
    result += f", the live version {live_accuracy:.1%}"
    # Half a photo of slack: shares of whole photos do not add up exactly in floating point.
    if live_accuracy - accuracy > gates.max_drop + 0.5 / len(photos):
        raise PromotionError(f"{result}: a drop of more than {gates.max_drop:.1%}.")
    report(result)


def _report_shadow(
    client: Client,
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
    (new_p50, new_p99), (old_p50, old_p99) = (_p50_p99_ms(each.latencies_ms) for each in (new, old))
    report(
        f"{candidate.version} and {live.version} agree on {agreement:.1%} of {len(pairs)} photos; median "
        f"{new_p50:.0f} and {old_p50:.0f} ms, p99 {new_p99:.0f} and {old_p99:.0f} ms"
    )
    for photo, a, b in differing[:DIFFERENCES_SHOWN]:
        report(
            f"  {photo.path}: {a.top.label} ({a.top.probability:.2f}), was {b.top.label} ({b.top.probability:.2f})"
        )


def _check_latency(
    client: Client,
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
    _, p99_ms = _p50_p99_ms(latencies_ms)
    result = f"{candidate.name} {candidate.version} answers {LATENCY_REQUESTS} requests with a p99 of {p99_ms:.0f} ms"
    if p99_ms > max_p99_ms:
        raise PromotionError(f"{result}, more than {max_p99_ms:g} ms.")
    report(result)


def _ask(client: Client, model: str, version: str, photos: Sequence[LabelledPhoto]) -> _Answers:
    latencies_ms: list[float] = []

    def predict(photo: bytes) -> Prediction:
        began = time.perf_counter()
        prediction = client.predict(model, photo, top_k=1, version=version)
        latencies_ms.append((time.perf_counter() - began) * 1e3)
        return prediction

    predictions: list[Prediction | None] = []
    for outcome in map_in_order(predict, (photo.read() for photo in photos), in_flight=IN_FLIGHT):
        if isinstance(outcome, Prediction):
            predictions.append(outcome)
        elif isinstance(outcome, RequestError) and outcome.code in PHOTO_CODES:
            # A file that is not a photo counts as wrong for either version.
            predictions.append(None)
        else:
            raise outcome
    return _Answers(predictions=predictions, latencies_ms=latencies_ms)


def _p50_p99_ms(latencies_ms: Sequence[float]) -> tuple[float, float]:
    """Return the latencies that 50 % and 99 % of the requests do not exceed; zeros for no requests."""
    if not latencies_ms:
        return 0.0, 0.0
    p50_ms, p99_ms = np.quantile(latencies_ms, [0.5, 0.99], method="inverted_cdf")
    return float(p50_ms), float(p99_ms)
