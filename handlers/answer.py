"""What becomes of one image: its answer, or the error that explains why it has none."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from handlers.errors import InternalError, RequestRejectedError

Outcome = Literal["known", "unknown", "uncertain"]


@dataclass(frozen=True, slots=True)
class Answer:
    probabilities: np.ndarray
    """`(K,) float32`."""
    outcome: Outcome | None = None
    """unknown: like none of the classes. uncertain: no class reaches handler.min_probability. None: no score."""
    unknown_score: float | None = None
    """0 for a typical photo of the classes, above 1 for an unknown one; None in an archive without a score."""


ImageResult = Answer | RequestRejectedError


def make_answer(
    probabilities: np.ndarray, unknown_score: float | None, *, min_probability: float = 0.0
) -> ImageResult:
    """Return the answer; an InternalError where a number is not finite, which JSON cannot hold.

    Without a score and with a `min_probability` of 0 there is no outcome.
    """
    if not np.isfinite(probabilities).all() or not math.isfinite(unknown_score or 0.0):
        return InternalError("the network returned numbers that are not finite for this image.")
    outcome: Outcome | None = None
    if unknown_score is not None and unknown_score > 1:
        outcome = "unknown"
    elif min_probability > 0 and probabilities.max() < min_probability:
        outcome = "uncertain"
    elif unknown_score is not None or min_probability > 0:
        outcome = "known"
    return Answer(probabilities, outcome, unknown_score)
