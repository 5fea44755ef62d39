"""What became of the requests of one measurement."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from serving.client import Prediction


@dataclass(frozen=True, kw_only=True)
class RequestSample:
    """One request. Times are of time.monotonic()."""

    due_s: float
    """When it was sent; in an open loop, when it was to be sent."""
    ended_s: float
    photo: int
    """The photo's index."""
    failure: str | None = None
    """The client error's class, HTTP's status or a lost connection; None for an answered request."""
    prediction: Prediction | None = None
    """The answer, where a client read it."""

    @property
    def latency_ms(self) -> float:
        return (self.ended_s - self.due_s) * 1e3


@dataclass(kw_only=True)
class LoadResult:
    """Requests of one measurement."""

    samples: list[RequestSample] = field(default_factory=list)
    seconds: float = 0.0
    """How long the measurement took; 0 while it runs."""
    retries: int = 0
    """Requests that the clients sent again."""

    @property
    def requests(self) -> int:
        return len(self.samples)

    @property
    def requests_per_s(self) -> float:
        """Return the answered requests per second."""
        return len(self.latencies_ms) / self.seconds

    @property
    def answered_by(self) -> Counter[str]:
        """Return the number of predictions of each model version."""
        return Counter(sample.prediction.version for sample in self.samples if sample.prediction)

    @property
    def failures(self) -> Counter[str]:
        return Counter(sample.failure for sample in self.samples if sample.failure is not None)

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def latencies_ms(self) -> list[float]:
        """Return the latencies of the answered requests."""
        return [sample.latency_ms for sample in self.samples if sample.failure is None]

    def percentile_ms(self, share: float) -> float:
        """Return the latency that `share`, 0..1, of the answered requests stay within; 0 where none was answered."""
        return percentile(self.latencies_ms, share)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share`, 0..1, of them do not exceed; 0 for no values."""
    return float(np.quantile(values, share, method="inverted_cdf")) if values else 0.0
