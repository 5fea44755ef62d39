"""What a handler prints for TorchServe, taken apart in a replica: metrics to Ray, request lines to a log.

The handler prints both as lines (handlers/metric_buffer.py); TorchServe's frontend reads them from its workers' output.
"""

import logging
import logging.handlers
import re
from pathlib import Path
from typing import Any, NamedTuple

from ray.util.metrics import Counter, Histogram

_LINE = re.compile(r"\[METRICS\](?P<name>\w+)\.\w+:(?P<value>[^|]+)\|#(?P<labels>[^|]*)\|#type:")
# Those of Prometheus, which TorchServe has too.
BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
LABELS = ("model", "version", "transport", "format", "code", "label", "outcome")


class _Declared(NamedTuple):
    """A metric as handlers/metrics.py expects it of TorchServe."""

    metric_name: str
    unit: str
    metric_type: Any


class RayMetrics:
    """Takes the place of TorchServe's metric cache; Ray exports what arrives as `ray_NAME` on each node."""

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Histogram] = {}

    def get_metric(self, name: str, kind: Any) -> _Declared:
        """Declare the metric; `kind` is TorchServe's, with the name COUNTER or HISTOGRAM."""
        metric: Counter | Histogram = (
            Counter(name, tag_keys=LABELS)
            if kind.name == "COUNTER"
            else Histogram(name, boundaries=BOUNDARIES, tag_keys=LABELS)
        )
        # Ray refuses a value that lacks one of the labels; Prometheus takes an empty one for none.
        metric.set_default_tags(dict.fromkeys(LABELS, ""))
        self._metrics[name] = metric
        return _Declared(metric_name=name, unit="unit", metric_type=kind)

    def write(self, line: str) -> None:
        """Add what one of the handler's metric lines says; a line that says something else is left out."""
        match = _LINE.match(line)
        metric = match and self._metrics.get(match["name"])
        if not match or metric is None:
            return
        tags = dict(pair.split(":", 1) for pair in match["labels"].split(",") if ":" in pair)
        value = float(match["value"])
        if isinstance(metric, Histogram):
            metric.observe(value, tags=tags)
        elif value > 0:
            metric.inc(value, tags=tags)


class HandlerOutput(logging.Handler):
    """Takes the lines that handlers/metric_buffer.py prints together."""

    def __init__(self, metrics: RayMetrics, request_log: logging.Logger) -> None:
        super().__init__()
        self._metrics, self._request_log = metrics, request_log

    def emit(self, record: logging.LogRecord) -> None:
        for line in record.getMessage().splitlines():
            try:
                if line.startswith("[METRICS]"):
                    self._metrics.write(line)
                else:
                    self._request_log.info("%s", line)
            except Exception:
                # Else the handler's thread would end, and with it every later line.
                self.handleError(record)


def open_log(name: str, folder: str | None) -> logging.Logger:
    """Return a logger that writes lines as they are: to NAME.log in the folder, or without one to Ray's own logs.

    Processes of a node share the file: each line is appended in one write. It may be renamed by logrotate.
    """
    handler: logging.Handler = logging.StreamHandler()
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.WatchedFileHandler(Path(folder) / f"{name}.log")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger(f"headswap.{name}")
    for before in logger.handlers:
        before.close()
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    return logger


def open_replica_logs(folder: str | None) -> RayMetrics:
    """Direct what the handler of this process prints; return what stands for TorchServe's metrics."""
    metrics = RayMetrics()
    output = logging.getLogger("handlers.metric_buffer")
    output.handlers = [HandlerOutput(metrics, open_log("requests", folder))]
    output.propagate = False
    output.setLevel(logging.INFO)
    # Of the rest, what a person reads: Ray keeps it in the replica's log.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return metrics
