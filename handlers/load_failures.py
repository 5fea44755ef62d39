"""Counts a version that cannot be served where Prometheus sees it: its worker ends before anybody can ask it why."""

import contextlib
import re
from typing import Any

from handlers.metric_buffer import MetricBuffer

NAME = "handler_load_failures_total"
DIMENSIONS = ("model", "version")


def count_load_failure(context: Any) -> None:
    """Print one failure of the version that TorchServe's manifest names; nothing where the metric is not declared."""
    if context.metrics is None:
        return
    from ts.metrics.metric_cache_errors import MetricsCacheKeyError
    from ts.metrics.metric_type_enum import MetricTypes

    named = (context.manifest or {}).get("model", {})
    values = (_plain(named.get("modelName")), _plain(named.get("modelVersion")))
    with contextlib.suppress(MetricsCacheKeyError):
        metric = context.metrics.get_metric(NAME, MetricTypes.COUNTER)
        lines = MetricBuffer()
        labels = zip(DIMENSIONS, values, strict=True)
        lines.add(metric, 1, ",".join(f"{name}:{value}" for name, value in labels))
        lines.flush()


def _plain(label: object) -> str:
    # A metric travels as one line of text, parted by these.
    return re.sub(r"[,|#:\r\n]", "_", str(label))
