"""One line of JSON for each request: what became of it, and the ids its client knows it by.

TorchServe's own access log never sees a request's headers. What a worker logs it hands on line by line, so
serving/log4j2.xml can put the lines that begin as these do into requests.log.
"""

import json
import time
from collections.abc import Sequence

from handlers.api.answers import Answer
from handlers.metric_buffer import MetricBuffer
from handlers.model_card import ModelCard


class RequestLog:
    """Writes one model's lines."""

    def __init__(self, card: ModelCard, lines: MetricBuffer) -> None:
        self._model = f'"model":{json.dumps(card.name)},"version":{json.dumps(card.version)}'
        self._lines = lines

    def write(
        self, answers: Sequence[Answer], *, transports: Sequence[str], duration_ms: float
    ) -> None:
        """Log, up to 0.2 s later, the answers of one batch, whose call of the handler took `duration_ms`."""
        seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        begun = f'{{"time":"{clock}.{milliseconds:03d}Z","transport":'
        self._lines.add_lines(
            [
                f'{begun}"{transport}",{self._model},"status":{answer.status},'
                f'"duration_ms":{duration_ms:.1f},'
                f'"correlation_id":{_to_json(answer.headers.get("x-correlation-id"))},'
                f'"traceparent":{_to_json(answer.headers.get("traceparent"))}}}'
                for transport, answer in zip(transports, answers, strict=True)
            ]
        )


def _to_json(value: str | None) -> str:
    # Most requests have neither id, and json.dumps takes its time over None too.
    return "null" if value is None else json.dumps(value)
