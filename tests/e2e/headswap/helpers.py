"""Probabilities as a server returns them and as evaluation.json has them, in the order of the classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.client import GrpcClient, HttpClient, Prediction


def probabilities_of(outcome: object) -> list[float]:
    """Return a prediction's probabilities `(K,)`; an error in its place fails the test."""
    assert isinstance(outcome, Prediction), outcome
    return [score.probability for score in sorted(outcome.scores, key=lambda score: score.index)]


def evaluated_probabilities(photo: dict[str, Any]) -> list[float]:
    """Return the probabilities `(K,)` of a photo of evaluation.json."""
    return [
        entry["probability"]
        for entry in sorted(photo["top_classes"], key=lambda entry: entry["index"])
    ]


def served_probabilities(
    client: HttpClient | GrpcClient, version: str, photos: Sequence[bytes]
) -> np.ndarray:
    """Return the probabilities `(B, K)` that the server gives, one request per photo."""
    return np.array(
        [
            probabilities_of(client.predict("clothing", photo, top_k=5, version=version))
            for photo in photos
        ]
    )
