"""The request log: one line of JSON for each request, with its status and the ids its client sent along.

TorchServe's own access log never sees a request's headers. TorchServe passes on what its workers print, line by line,
so serving/log4j2.xml can direct the lines that begin like these into requests.log.
"""

import json
import time
from collections.abc import Sequence

from handlers.api.responses import Response
from handlers.metric_buffer import MetricBuffer
from handlers.model_card import ModelCard


class RequestLog:
    """Writes the lines of one model."""

    def __init__(self, card: ModelCard, buffer: MetricBuffer) -> None:
        self._model = f'"model":{json.dumps(card.name)},"version":{json.dumps(card.version)}'
        self._buffer = buffer

    def write(
        self, responses: Sequence[Response], *, transports: Sequence[str], duration_ms: float
    ) -> None:
        """Log the responses of one batch, up to 0.2 s later; `duration_ms` is what the handler took for the batch."""
        seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        start = f'{{"time":"{clock}.{milliseconds:03d}Z","transport":'
        self._buffer.add_lines(
            [
                f'{start}"{transport}",{self._model},"status":{response.status},'
                f'"duration_ms":{duration_ms:.1f},'
                f'"correlation_id":{_to_json(response.headers.get("x-correlation-id"))},'
                f'"traceparent":{_to_json(response.headers.get("traceparent"))}}}'
                for transport, response in zip(transports, responses, strict=True)
            ]
        )


def _to_json(value: str | None) -> str:
    # Most requests carry neither id, and json.dumps is slow for None too.
    return "null" if value is None else json.dumps(value)
