"""One line of JSON for each request: what became of it, and the id its client knows it by.

TorchServe's own access log never sees a request's headers. What a worker logs it hands on line by line, so
serving/log4j2.xml can put the lines that begin as these do into requests.log.
"""

import json
import logging
import time
from collections.abc import Mapping

from handlers.answers import Answer, echo_headers
from handlers.model_card import ModelCard

logger = logging.getLogger(__name__)


def log_request(
    answer: Answer,
    card: ModelCard,
    headers: Mapping[str, str],
    *,
    transport: str,
    duration_ms: float,
) -> None:
    """Log the answer to one request; `duration_ms` is the handler's, for all requests of its batch."""
    echoed = echo_headers(dict(headers))
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "transport": transport,
        "model": card.name,
        "version": card.version,
        "status": answer.status,
        "duration_ms": round(duration_ms, 1),
        "correlation_id": echoed.get("x-correlation-id"),
        "traceparent": echoed.get("traceparent"),
    }
    logger.info("%s", json.dumps(line, separators=(",", ":")))
