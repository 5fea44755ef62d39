"""What the handler has counted per version, from the page of TorchServe's metrics address."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

# The handler's error codes that are the server's fault and not the request's.
SERVER_FAULTS = frozenset({"internal"})


@dataclass(kw_only=True)
class Counts:
    """The counters of one version, since the server started."""

    images: int = 0
    """Images classified."""
    errors: dict[str, int] = field(default_factory=dict)
    """Requests and images rejected or failed, by error code."""
    buckets: dict[float, float] = field(default_factory=dict)
    """Calls of the handler, by the upper bound of their duration in seconds; cumulative, as Prometheus has it."""

    @property
    def requests(self) -> int:
        """Return the images classified and the requests rejected or failed."""
        return self.images + sum(self.errors.values())

    @property
    def faults(self) -> int:
        """Return the errors that are the server's fault."""
        return sum(count for code, count in self.errors.items() if code in SERVER_FAULTS)

    def percentile_ms(self, share: float) -> float | None:
        """Return the duration that `share`, 0..1, of the handler's calls stayed within; None before the first call.

        Linear within a bucket, as Prometheus' histogram_quantile; above the last bound it is that bound.
        """
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

    def plus(self, other: "Counts") -> "Counts":
        """Return what both counted together."""
        return Counts(
            images=self.images + other.images,
            errors={
                code: self.errors.get(code, 0) + other.errors.get(code, 0)
                for code in {**self.errors, **other.errors}
            },
            buckets={
                bound: self.buckets.get(bound, 0.0) + other.buckets.get(bound, 0.0)
                for bound in {**self.buckets, **other.buckets}
            },
        )

    def since(self, before: "Counts") -> "Counts":
        """Return what was counted after `before`."""
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


def parse_counts(text: str) -> Mapping[tuple[str, str], Counts]:
    """Return the counts by model and version from the text of the page."""
    return count_samples(handler_samples(text))


def count_samples(
    samples: Iterable[tuple[tuple[str, str], Sample]],
) -> Mapping[tuple[str, str], Counts]:
    """Return the counts by model and version of what `handler_samples` yields."""
    counts_of: dict[tuple[str, str], Counts] = defaultdict(Counts)
    for key, sample in samples:
        counts = counts_of[key]
        if sample.name == "handler_predictions_total":
            counts.images += int(sample.value)
        elif sample.name == "handler_errors_total":
            code = sample.labels["code"]
            counts.errors[code] = counts.errors.get(code, 0) + int(sample.value)
        elif sample.name == "handler_total_seconds_bucket":
            bound = float(sample.labels["le"])
            counts.buckets[bound] = counts.buckets.get(bound, 0.0) + sample.value
    return counts_of


def handler_samples(text: str) -> Iterator[tuple[tuple[str, str], Sample]]:
    """Yield model and version, and the sample, of each metric of the handler on the page."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "version" in sample.labels and sample.name.startswith("handler_"):
                yield (sample.labels["model"], sample.labels["version"]), sample
