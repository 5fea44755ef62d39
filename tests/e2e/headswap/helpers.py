"""What the tests of served archives read from answers, and from evaluation.json to compare them with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.client import GrpcClient, HttpClient, Prediction


def row_of(answer: object) -> list[float]:
    """Return the probabilities in the order of the classes; a refusal fails the test."""
    assert isinstance(answer, Prediction), answer
    return [score.probability for score in sorted(answer.scores, key=lambda score: score.index)]


def judged_row(photo: dict[str, Any]) -> list[float]:
    """Return the probabilities in the order of the classes, of a photo of evaluation.json."""
    return [one["probability"] for one in sorted(photo["guesses"], key=lambda one: one["index"])]


def rows_of(client: HttpClient | GrpcClient, version: str, photos: Sequence[bytes]) -> np.ndarray:
    """Return the probabilities `(B, K)` that the server gives, a photo a request."""
    answers = [client.predict("clothing", one, top_k=5, version=version) for one in photos]
    return np.array([row_of(answer) for answer in answers])
