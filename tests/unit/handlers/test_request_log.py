"""One line per request, valid JSON whatever ids the client sends."""

import json
import logging
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers import metric_buffer
from handlers.api.responses import Response, echo_headers
from handlers.contract import DRAIN_MARKER_FILE
from handlers.metric_buffer import MetricBuffer
from handlers.model_card import ModelCard
from handlers.request_log import RequestLog

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def written(caplog: pytest.LogCaptureFixture) -> list[dict]:
    lines = [line for record in caplog.records for line in record.message.split("\n")]
    return [json.loads(line) for line in lines if line.startswith("{")]


def logged(
    card: ModelCard, responses: list[Response], caplog: pytest.LogCaptureFixture
) -> list[dict]:
    caplog.clear()
    buffer = MetricBuffer()
    with caplog.at_level(logging.INFO, logger="handlers.metric_buffer"):
        RequestLog(card, buffer).write(
            responses, transports=["http"] * len(responses), duration_ms=1.0
        )
        buffer.flush()
    return written(caplog)


def test_each_request_of_a_batch_is_a_line(worker, photos, caplog) -> None:
    items = [{"body": photos["red"]}, {"body": b"no photo"}, {"body": photos["blue"]}]
    over_http = {"url_path": "predictions/colours", "host": "a"}
    headers = [over_http | {"X-Correlation-Id": "a-1", "Traceparent": TRACE}, over_http, {}]
    with caplog.at_level(logging.INFO, logger="handlers.metric_buffer"):
        worker.respond(items[:1], headers[:1])
        worker.respond(items[1:], headers[1:])
        worker.handler._classifier._buffer.flush()
    first, second, third = written(caplog)
    assert [line["status"] for line in (first, second, third)] == [200, 400, 200]
    assert [line["transport"] for line in (first, second, third)] == ["http", "http", "grpc"]
    assert (first["correlation_id"], first["traceparent"]) == ("a-1", TRACE)
    assert (second["correlation_id"], third["traceparent"]) == (None, None)
    assert 0 < second["duration_ms"] == third["duration_ms"]
    assert first["time"] <= second["time"] == third["time"]


def test_an_empty_batch_writes_no_line(card, caplog) -> None:
    assert logged(card, [], caplog) == []


def test_a_flush_also_waits_for_the_other_thread(monkeypatch) -> None:
    """What that thread is printing is out when the flush returns: the worker may be killed right after it."""
    printed, is_printing = [], threading.Event()

    def print_slowly(text: str) -> None:
        is_printing.set()
        time.sleep(0.2)
        printed.append(text)

    monkeypatch.setattr(metric_buffer.logger, "info", print_slowly)
    buffer = MetricBuffer(interval_s=0)
    buffer.add_lines(["a request"])
    assert is_printing.wait(10)
    buffer.flush()
    assert printed == ["a request"]


def test_a_request_rejected_while_draining_is_logged_at_once(
    worker, archive_folder, photos, caplog
) -> None:
    (archive_folder / DRAIN_MARKER_FILE).write_text("version_retired")
    with caplog.at_level(logging.INFO, logger="handlers.metric_buffer"):
        worker.respond([{"body": photos["red"], "x-correlation-id": b"a-2"}], [{}])
    (line,) = written(caplog)
    assert (line["status"], line["correlation_id"], line["duration_ms"]) == (404, "a-2", 0.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(correlation_id=st.text(), traceparent=st.text())
def test_no_header_can_break_the_line(
    card: ModelCard, caplog: pytest.LogCaptureFixture, correlation_id: str, traceparent: str
) -> None:
    sent = {"x-correlation-id": correlation_id, "traceparent": traceparent}
    response = Response(status=200, body=b"", headers=echo_headers(sent))
    (line,) = logged(card, [response], caplog)
    assert line["correlation_id"] in (correlation_id, None)
    assert line["traceparent"] in (traceparent, None)
