"""What a version must pass before it goes live, measured on that very version as the running server serves it.

Its probes always have to be right (readiness.py); the other checks are the choice of the user who promotes.
"""

import itertools
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from photo_folder.errors import FolderError
from photo_folder.label_file import find_listed
from photo_folder.layout import find_labelled
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
    labels: Path | None = None
    """Table of path,label[,split], instead of the class folders."""
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
        if self.labels is not None and self.data is None:
            raise InputError("--gate-labels needs photos; give --gate-data FOLDER.")
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
        read_labelled_photos(gates.data, candidate.class_names, labels=gates.labels, report=report)
        if gates.data is not None
        else []
    )
    if gates.min_accuracy is not None or gates.max_drop is not None:
        _check_accuracy(client, candidate, live, photos, gates=gates, report=report)
    if gates.shadow and live is not None:
        _report_shadow(client, candidate, live, photos[: gates.shadow], report=report)
    if gates.max_p99_ms is not None:
        _check_latency(client, candidate, photos, gates.max_p99_ms, report=report)


def read_labelled_photos(
    folder: Path, class_names: Sequence[str], *, labels: Path | None = None, report: Report
) -> list[LabelledPhoto]:
    """Return the folder's photos, those of test where it is split, alternating between the classes.

    So the first few show all classes. What is passed by is reported.

    Raises:
        InputError: there is no such folder, a class that the version does not have, or no photo.
    """
    try:
        labelled = find_labelled(folder) if labels is None else find_listed(folder, labels)
    except FolderError as error:
        raise InputError(f"--gate-data: {error}") from None
    files = labelled.files
    if labelled.splits:
        files = tuple(file for file in files if file.split == "test")
    spelled = {unicodedata.normalize("NFC", name): name for name in class_names}
    by_class: dict[str, list[LabelledPhoto]] = {}
    for file in files:
        if file.class_name not in spelled:
            raise InputError(
                f"{folder} holds photos of {file.class_name!r}, which is not a class of this version "
                f"({', '.join(class_names)}); give a folder of photos of its classes, such as DATA/test."
            )
        label = spelled[file.class_name]
        by_class.setdefault(label, []).append(LabelledPhoto(path=file.path, label=label))
    if not files:
        of_test = " of test" if labelled.splits else ""
        raise InputError(f"{folder} holds no photos{of_test} in class folders.")
    for note in labelled.notes:
        report(f"{folder}: {note}")
    turns = itertools.zip_longest(*by_class.values())
    return [photo for turn in turns for photo in turn if photo is not None]


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
