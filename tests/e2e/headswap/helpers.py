"""Waiting for a server, and probabilities as it and evaluation.json have them, in the order of the classes."""

import subprocess
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.client import GrpcClient, HttpClient, Prediction
from serving.errors import InputError, NotReadyError
from serving.rollout.readiness import check_live
from serving.rollout.session import ServerSession
from serving.settings import ServerSettings

START_LIMIT_S = 90.0


def wait_until_ready(settings: ServerSettings, server: subprocess.Popen[bytes]) -> None:
    """Return once the live versions answer their probes.

    Polled from this process: `headswap ready` in a loop would take the cores from the server that starts.
    """
    deadline = time.monotonic() + START_LIMIT_S
    with ServerSession(settings) as session:
        while not _is_ready(session):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)


def _is_ready(session: ServerSession) -> bool:
    try:
        check_live(session)
    except (NotReadyError, InputError):
        return False
    return True


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
