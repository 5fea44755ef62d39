"""Replays an archive's probes through the real pipeline: what is served must be what was trained."""

from typing import Any

import numpy as np

from handlers.answer import Answer, ImageResult
from handlers.contract import UNKNOWN_TOLERANCE, Probe
from handlers.engines.pipelines import Pipeline
from handlers.errors import ProbeError, RequestRejectedError
from handlers.extracted import ExtractedArchive
from handlers.images.loaders import EncodedPhoto, Timings


def replay_probes(archive: ExtractedArchive, pipeline: Pipeline[Any]) -> float:
    """Return the largest difference of a probability, 0..1; afterwards decoder and engine are warm.

    Raises:
        ProbeError: a probe differs by more than the archive's tolerance, or its photo is rejected.
    """
    expected = archive.probes_of(pipeline.precision)
    # In one batch and one by one, as requests will be.
    batched = pipeline.classify(
        [EncodedPhoto(probe.data, index) for index, probe in enumerate(expected.probes)], Timings()
    )
    largest = 0.0
    for probe, in_batch in zip(expected.probes, batched, strict=True):
        alone = pipeline.classify([EncodedPhoto(probe.data)], Timings())[0]
        for result in (in_batch, alone):
            largest = max(largest, _difference(archive, probe, result, expected.tolerance))
    return largest


def _difference(
    archive: ExtractedArchive,
    probe: Probe,
    result: ImageResult,
    tolerance: float,
) -> float:
    # `headswap serve` looks for these words in the worker's log.
    refusing = f"refusing to serve {archive.card.name} {archive.card.version}:"
    if isinstance(result, RequestRejectedError):
        raise ProbeError(f"{refusing} probe {probe.file} was rejected: {result}")
    expected = np.asarray(probe.probabilities, dtype=np.float32)
    if result.probabilities.shape != expected.shape:
        raise ProbeError(
            f"{refusing} the network returns {len(result.probabilities)} probabilities, but the model card "
            f"names {archive.card.class_count} classes."
        )
    difference = float(np.abs(result.probabilities - expected).max())
    if difference > tolerance:
        raise ProbeError(
            f"{refusing} probe {probe.file} differs by {difference:.4f} from what was computed at export, which is "
            f"more than the tolerance of {tolerance}. Decoder, crop, class order or engine is not the same."
        )
    _check_score(probe, result, refusing=refusing)
    return difference


def _check_score(probe: Probe, result: Answer, *, refusing: str) -> None:
    if probe.unknown_score is None or result.unknown_score is None:
        return
    difference = abs(result.unknown_score - probe.unknown_score)
    if difference > UNKNOWN_TOLERANCE:
        raise ProbeError(
            f"{refusing} the unknown score of probe {probe.file} differs by {difference:.2f} from what was computed at "
            f"export, which is more than {UNKNOWN_TOLERANCE}. Decoder, crop or engine is not the same."
        )
