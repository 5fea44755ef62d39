"""What the handler counted, per version, read from TorchServe's metrics address."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import requests
from prometheus_client.parser import text_string_to_metric_families

from serving.client.sessions import session_to
from serving.errors import UnreachableError
from serving.settings import ServerSettings

TIMEOUT_S = 5.0
# The handler's codes for what is the server's fault and not the request's.
SERVER_FAULTS = frozenset({"internal"})


@dataclass(kw_only=True)
class Counts:
    """Of one version, since the server started."""

    images: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """By code."""
    buckets: dict[float, float] = field(default_factory=dict)
    """Calls of the handler that took at most so many seconds."""

    @property
    def requests(self) -> int:
        """Return images classified and requests refused."""
        return self.images + sum(self.errors.values())

    @property
    def faults(self) -> int:
        return sum(count for code, count in self.errors.items() if code in SERVER_FAULTS)

    def percentile_ms(self, share: float) -> float | None:
        """Return the handler's time that `share` of its calls stayed within, linear within a bucket; None without."""
        bounds = sorted(self.buckets)
        total = self.buckets[bounds[-1]] if bounds else 0.0
        if not total:
            return None
        lower_s, below = 0.0, 0.0
        for bound_s in bounds:
            count = self.buckets[bound_s]
            if count >= share * total:
                if bound_s == float("inf"):
                    return lower_s * 1e3
                inside = (share * total - below) / (count - below) if count > below else 1.0
                return (lower_s + inside * (bound_s - lower_s)) * 1e3
            lower_s, below = bound_s, count
        return lower_s * 1e3

    def since(self, before: "Counts") -> "Counts":
        """Return what was added after `before`."""
        return Counts(
            images=self.images - before.images,
            errors={
                code: count - before.errors.get(code, 0) for code, count in self.errors.items()
            },
            buckets={
                bound: count - before.buckets.get(bound, 0.0)
                for bound, count in self.buckets.items()
            },
        )


def read_counts(settings: ServerSettings) -> Mapping[tuple[str, str], Counts]:
    """Return the counts by model and version; a version nobody has asked is not there.

    Raises:
        UnreachableError: the metrics address does not answer.
    """
    url = f"{settings.metrics_url}/metrics"
    try:
        with session_to(settings.metrics_url) as session:
            answer = session.get(url, timeout=TIMEOUT_S)
            answer.raise_for_status()
    except requests.RequestException as error:
        raise UnreachableError(f"{url} does not answer ({type(error).__name__}).") from None
    return parse_counts(answer.text)


def parse_counts(text: str) -> Mapping[tuple[str, str], Counts]:
    """Return the same from the text of the page."""
    found: dict[tuple[str, str], Counts] = defaultdict(Counts)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "version" not in sample.labels or not sample.name.startswith("handler_"):
                continue
            counts = found[sample.labels["model"], sample.labels["version"]]
            if sample.name == "handler_predictions_total":
                counts.images += int(sample.value)
            elif sample.name == "handler_errors_total":
                code = sample.labels["code"]
                counts.errors[code] = counts.errors.get(code, 0) + int(sample.value)
            elif sample.name == "handler_total_seconds_bucket":
                bound = float(sample.labels["le"])
                counts.buckets[bound] = counts.buckets.get(bound, 0.0) + sample.value
    return found
