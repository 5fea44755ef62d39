"""What a router counts: requests in flight, answers, errors, durations, and where candidate and live version agree."""

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cluster.live_state import Agreement, Key
from cluster.replica import Answer
from serving.rollout.metrics_page import Counts

# Seconds, each a quarter above the one before, so that a percentile is within a quarter of the truth; 1 ms to 2 min.
BOUNDS_S = (*(0.001 * 1.25**step for step in range(53)), float("inf"))
# Says that the server cannot answer now: not a fault of the version.
UNAVAILABLE = 503


@dataclass(kw_only=True)
class Tally:
    counts: dict[Key, Counts] = field(default_factory=dict)
    agreement: dict[Key, Agreement] = field(default_factory=dict)
    in_flight_now: dict[Key, int] = field(default_factory=dict)
    """Versions without a request in flight are missing."""

    @contextmanager
    def in_flight(self, model: str, version: str) -> Iterator[None]:
        """Count a request as in flight within the block."""
        key = (model, version)
        self.in_flight_now[key] = self.in_flight_now.get(key, 0) + 1
        try:
            yield
        finally:
            self.in_flight_now[key] -= 1
            if not self.in_flight_now[key]:
                del self.in_flight_now[key]

    def count(self, model: str, version: str, answer: Answer, *, seconds: float) -> None:
        """Count an answer, which took so long."""
        counts = self.counts.setdefault(
            (model, version), Counts(buckets=dict.fromkeys(BOUNDS_S, 0.0))
        )
        for bound_s in BOUNDS_S[bisect_left(BOUNDS_S, seconds) :]:
            counts.buckets[bound_s] += 1
        if answer.status < 400:
            counts.images += 1
        else:
            self.count_error(model, version, _error_code(answer))

    def count_error(self, model: str, version: str, code: str) -> None:
        """Count a request that was not answered, by the handler's error code."""
        counts = self.counts.setdefault(
            (model, version), Counts(buckets=dict.fromkeys(BOUNDS_S, 0.0))
        )
        counts.errors[code] = counts.errors.get(code, 0) + 1

    def compare(self, model: str, candidate: str, *, is_same: bool) -> None:
        """Count a photo that the candidate and the live version answered both."""
        key = (model, candidate)
        before = self.agreement.get(key, Agreement())
        self.agreement[key] = before + Agreement(compared=1, agreed=int(is_same))


def top_label(body: bytes) -> str | None:
    """Return the top class of an answer for one photo; None for any other answer."""
    content = _parse(body)
    predictions = content.get("predictions")
    if isinstance(predictions, list) and predictions and isinstance(predictions[0], Mapping):
        label = predictions[0].get("label")
        return label if isinstance(label, str) else None
    return None


def _error_code(answer: Answer) -> str:
    error = _parse(answer.body).get("error")
    code = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(code, str):
        return code
    return (
        "internal" if answer.status >= 500 and answer.status != UNAVAILABLE else str(answer.status)
    )


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
