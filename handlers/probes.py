"""Replays an archive's probes through the real pipeline: served must be what was trained."""

from typing import Any

import numpy as np

from handlers.contract import Probe
from handlers.engines.pipelines import Pipeline
from handlers.errors import ProbeError, RequestRejectedError
from handlers.extracted import ExtractedArchive
from handlers.images.loaders import Photo, Timings


def replay_probes(archive: ExtractedArchive, pipeline: Pipeline[Any]) -> float:
    """Return the largest difference of a probability; afterwards decoder and engine are warm.

    Raises:
        ProbeError: a probe differs beyond the archive's tolerance, or is refused.
    """
    expected = archive.probes_of(pipeline.precision)
    # One by one as well as together: both are what requests will do.
    together = pipeline.classify(
        [Photo(probe.data, owner) for owner, probe in enumerate(expected.probes)], Timings()
    )
    worst = 0.0
    for probe, outcome in zip(expected.probes, together, strict=True):
        alone = pipeline.classify([Photo(probe.data)], Timings())[0]
        for answer in (outcome, alone):
            worst = max(worst, _difference(archive, probe, answer, expected.tolerance))
    return worst


def _difference(
    archive: ExtractedArchive,
    probe: Probe,
    answer: np.ndarray | RequestRejectedError,
    tolerance: float,
) -> float:
    refusing = _refusing(archive)
    if isinstance(answer, RequestRejectedError):
        raise ProbeError(f"{refusing} its own probe {probe.file} has no answer: {answer}")
    expected = np.asarray(probe.probabilities, dtype=np.float32)
    if answer.shape != expected.shape:
        raise ProbeError(
            f"{refusing} the network gives {answer.shape[0]} probabilities, "
            f"the model card names {archive.card.class_count} classes."
        )
    difference = float(np.abs(answer - expected).max())
    if difference > tolerance:
        raise ProbeError(
            f"{refusing} probe {probe.file} differs by {difference:.4f} from what training gave; "
            f"{tolerance} is tolerated. Decoder, crop, class order or engine is another."
        )
    return difference


def _refusing(archive: ExtractedArchive) -> str:
    return f"refusing to serve {archive.card.name} {archive.card.version}:"
