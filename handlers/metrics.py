"""Counts and times through TorchServe's own metric API, scraped in its prometheus mode.

A metric must be declared in the server's metrics_config (serving/metrics.yaml does it); one that
is not is left out at no cost. Times are in seconds, because TorchServe's histograms have
Prometheus' default buckets, 0.005 to 10.
"""

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from handlers.api.answers import Outcome
from handlers.errors import RequestRejectedError
from handlers.images.loaders import Timings
from handlers.metric_buffer import MetricBuffer
from handlers.model_card import ModelCard

HISTOGRAMS = (
    "handler_decode_seconds",
    "handler_preprocess_seconds",
    "handler_inference_seconds",
    "handler_total_seconds",
    "handler_batch_size",
    "handler_confidence",
)
COUNTERS = ("handler_images_total", "handler_errors_total", "handler_predictions_total")
DIMENSIONS = ("model", "version", "transport")
EXTRA_DIMENSION = {
    "handler_images_total": "format",
    "handler_errors_total": "code",
    "handler_predictions_total": "label",
}


class Metrics:
    """Writes one model's metrics; `cache` is TorchServe's MetricsCacheYamlImpl, or None."""

    def __init__(self, cache: Any, card: ModelCard, lines: MetricBuffer) -> None:
        self._card = card
        self._metrics = _declared(cache) if cache is not None else {}
        self._lines = lines
        self._labels: dict[tuple[str, ...], str] = {}

    def write_call(self, timings: Timings, *, transports: Sequence[str], total_s: float) -> None:
        """Write what one call of the handler took; `transports` has one entry a request.

        A pass through the network that served requests of both transports counts as `mixed`.
        """
        if not self._metrics or not transports:
            return
        for photo in timings.photos:
            transport = transports[photo.owner]
            self._write("handler_decode_seconds", photo.decode_s, transport)
            self._write("handler_preprocess_seconds", photo.preprocess_s, transport)
            self._write("handler_images_total", 1, transport, photo.format_name)
        shared = transports[0] if len(set(transports)) == 1 else "mixed"
        for image_count, inference_s in timings.passes:
            self._write("handler_batch_size", image_count, shared)
            self._write("handler_inference_seconds", inference_s, shared)
        for transport in transports:
            self._write("handler_total_seconds", total_s, transport)

    def write_outcome(self, outcome: Outcome, *, transport: str) -> None:
        """Write what became of one image, or of one request that has none."""
        if not self._metrics:
            return
        if isinstance(outcome, RequestRejectedError):
            self._write("handler_errors_total", 1, transport, outcome.code)
            return
        index = int(outcome.argmax())
        self._write("handler_confidence", float(outcome[index]), transport)
        self._write("handler_predictions_total", 1, transport, self._card.class_names[index])

    def _write(self, name: str, value: float, transport: str, extra: str | None = None) -> None:
        metric = self._metrics.get(name)
        if metric is None:
            return
        values = (transport,) if extra is None else (transport, extra)
        labels = self._labels.get((name, *values))
        if labels is None:
            labels = self._labels[(name, *values)] = self._to_labels(name, values)
        self._lines.add(metric, value, labels)

    def _to_labels(self, name: str, values: tuple[str, ...]) -> str:
        names = DIMENSIONS if len(values) == 1 else (*DIMENSIONS, EXTRA_DIMENSION[name])
        all_values = (self._card.name, self._card.version, *values)
        return ",".join(
            f"{key}:{_plain(value)}" for key, value in zip(names, all_values, strict=True)
        )


def _declared(cache: Any) -> dict[str, Any]:
    from ts.metrics.metric_cache_errors import MetricsCacheKeyError
    from ts.metrics.metric_type_enum import MetricTypes

    # TorchServe itself prints a PredictionTime for every call through this logger; handler_total_seconds says more.
    logging.getLogger("ts.metrics.caching_metric").setLevel(logging.WARNING)
    found = {}
    for name in HISTOGRAMS + COUNTERS:
        kind = MetricTypes.HISTOGRAM if name in HISTOGRAMS else MetricTypes.COUNTER
        with contextlib.suppress(MetricsCacheKeyError):
            found[name] = cache.get_metric(name, kind)
    return found


def _plain(label: str) -> str:
    # A metric travels as one line of text, parted by these.
    return "".join("_" if character in ",|#:\r\n" else character for character in label)
