"""Counters and histograms through TorchServe's own metric API, scraped in its prometheus mode.

A metric must be declared in the server's metrics_config (serving/metrics.yaml declares them); one that is not is left
out at no cost. Times are in seconds, because TorchServe's histograms have Prometheus' default buckets, 0.005 to 10.
"""

import contextlib
import logging
import re
from collections.abc import Sequence
from typing import Any

from handlers.answer import ImageResult
from handlers.capture.recorder import BYTES, CAPTURED, DROPPED
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
COUNTERS = (
    "handler_images_total",
    "handler_errors_total",
    "handler_predictions_total",
    "handler_outcomes_total",
)
DIMENSIONS = ("model", "version", "transport")
EXTRA_DIMENSION = {
    "handler_images_total": "format",
    "handler_errors_total": "code",
    "handler_predictions_total": "label",
    "handler_outcomes_total": "outcome",
}

# A version that fails to load: its worker ends before anybody can query it.
LOAD_FAILURES = "handler_load_failures_total"
LOAD_FAILURE_DIMENSIONS = ("model", "version")

# Of the photos that are kept for labelling (handlers/capture/recorder.py).
CAPTURE_COUNTERS = (CAPTURED, DROPPED, BYTES)
MODEL_DIMENSIONS = LOAD_FAILURE_DIMENSIONS


class Metrics:
    """Writes the metrics of one model; `cache` is TorchServe's MetricsCacheYamlImpl, or None."""

    def __init__(self, cache: Any, card: ModelCard, buffer: MetricBuffer) -> None:
        self._card = card
        self._metrics = _declared(cache) if cache is not None else {}
        self._buffer = buffer
        self._labels: dict[tuple[str, ...], str] = {}

    def write_call(self, timings: Timings, *, transports: Sequence[str], total_s: float) -> None:
        """Write what one call of the handler took; `transports` has one entry a request.

        A forward pass over images of both transports counts as `mixed`.
        """
        if not self._metrics or not transports:
            return
        for photo in timings.photos:
            transport = transports[photo.request_index]
            self._write("handler_decode_seconds", photo.decode_s, transport)
            self._write("handler_preprocess_seconds", photo.preprocess_s, transport)
            self._write("handler_images_total", 1, transport, photo.format_name)
        shared = transports[0] if len(set(transports)) == 1 else "mixed"
        for image_count, inference_s in timings.passes:
            self._write("handler_batch_size", image_count, shared)
            self._write("handler_inference_seconds", inference_s, shared)
        for transport in transports:
            self._write("handler_total_seconds", total_s, transport)

    def write_result(self, result: ImageResult, *, transport: str) -> None:
        """Write the result of one image, or the error of a request that was rejected as a whole."""
        if not self._metrics:
            return
        if isinstance(result, RequestRejectedError):
            self._write("handler_errors_total", 1, transport, result.code)
            return
        index = int(result.probabilities.argmax())
        self._write("handler_confidence", float(result.probabilities[index]), transport)
        self._write("handler_predictions_total", 1, transport, self._card.class_names[index])
        if result.outcome is not None:
            self._write("handler_outcomes_total", 1, transport, result.outcome)

    def count(self, name: str, value: int) -> None:
        """Add to a counter of the model that has no transport."""
        metric = self._metrics.get(name)
        if metric is not None:
            values = (self._card.name, self._card.version)
            self._buffer.add(metric, value, _format_labels(MODEL_DIMENSIONS, values))

    def _write(self, name: str, value: float, transport: str, extra: str | None = None) -> None:
        metric = self._metrics.get(name)
        if metric is None:
            return
        values = (transport,) if extra is None else (transport, extra)
        labels = self._labels.get((name, *values))
        if labels is None:
            labels = self._labels[(name, *values)] = self._format_labels(name, values)
        self._buffer.add(metric, value, labels)

    def _format_labels(self, name: str, values: tuple[str, ...]) -> str:
        names = DIMENSIONS if len(values) == 1 else (*DIMENSIONS, EXTRA_DIMENSION[name])
        return _format_labels(names, (self._card.name, self._card.version, *values))


def count_load_failure(context: Any) -> None:
    """Print one failure of the version that TorchServe's manifest names; nothing if the metric is not declared."""
    if context.metrics is None:
        return
    from ts.metrics.metric_cache_errors import MetricsCacheKeyError
    from ts.metrics.metric_type_enum import MetricTypes

    model = (context.manifest or {}).get("model", {})
    values = (str(model.get("modelName")), str(model.get("modelVersion")))
    with contextlib.suppress(MetricsCacheKeyError):
        metric = context.metrics.get_metric(LOAD_FAILURES, MetricTypes.COUNTER)
        buffer = MetricBuffer()
        buffer.add(metric, 1, _format_labels(LOAD_FAILURE_DIMENSIONS, values))
        buffer.flush()


def _declared(cache: Any) -> dict[str, Any]:
    from ts.metrics.metric_cache_errors import MetricsCacheKeyError
    from ts.metrics.metric_type_enum import MetricTypes

    # TorchServe itself prints a PredictionTime for every call through this logger; handler_total_seconds says more.
    logging.getLogger("ts.metrics.caching_metric").setLevel(logging.WARNING)
    declared = {}
    for name in HISTOGRAMS + COUNTERS + CAPTURE_COUNTERS:
        kind = MetricTypes.HISTOGRAM if name in HISTOGRAMS else MetricTypes.COUNTER
        with contextlib.suppress(MetricsCacheKeyError):
            declared[name] = cache.get_metric(name, kind)
    return declared


def _format_labels(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f"{name}:{_escape(value)}" for name, value in zip(names, values, strict=True))


def _escape(label: str) -> str:
    # A metric is one line of text, and these characters separate its parts.
    return re.sub(r"[,|#:\r\n]", "_", label)
