"""One line a request that is JSON whatever the client calls its request."""

import json
import logging
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers import metric_buffer
from handlers.api.answers import Answer, echo_headers
from handlers.contract import DRAIN_MARKER_FILE
from handlers.metric_buffer import MetricBuffer
from handlers.model_card import ModelCard
from handlers.request_log import RequestLog

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def written(caplog: pytest.LogCaptureFixture) -> list[dict]:
    lines = [line for record in caplog.records for line in record.message.split("\n")]
    return [json.loads(line) for line in lines if line.startswith("{")]


def logged(card: ModelCard, answers: list[Answer], caplog: pytest.LogCaptureFixture) -> list[dict]:
    caplog.clear()
    lines = MetricBuffer()
    with caplog.at_level(logging.INFO, logger="handlers.metric_buffer"):
        RequestLog(card, lines).write(answers, transports=["http"] * len(answers), duration_ms=1.0)
        lines.flush()
    return written(caplog)


def test_each_request_of_a_batch_is_a_line(worker, photos, caplog) -> None:
    items = [{"body": photos["red"]}, {"body": b"no photo"}, {"body": photos["blue"]}]
    over_http = {"url_path": "predictions/colours", "host": "a"}
    headers = [over_http | {"X-Correlation-Id": "a-1", "Traceparent": TRACE}, over_http, {}]
    with caplog.at_level(logging.INFO, logger="handlers.metric_buffer"):
        worker.answer(items[:1], headers[:1])
        worker.answer(items[1:], headers[1:])
        worker.handler._classifier._lines.flush()
    first, second, third = written(caplog)
    assert [line["status"] for line in (first, second, third)] == [200, 400, 200]
    assert [line["transport"] for line in (first, second, third)] == ["http", "http", "grpc"]
    assert (first["correlation_id"], first["traceparent"]) == ("a-1", TRACE)
    assert (second["correlation_id"], third["traceparent"]) == (None, None)
    assert 0 < second["duration_ms"] == third["duration_ms"]
    assert first["time"] <= second["time"] == third["time"]


def test_no_request_is_no_line(card, caplog) -> None:
    assert logged(card, [], caplog) == []


def test_what_was_flushed_is_printed(monkeypatch) -> None:
    """Also what the other thread has just taken up: a worker may be ended after it."""
    printed, is_printing = [], threading.Event()

    def print_slowly(text: str) -> None:
        is_printing.set()
        time.sleep(0.2)
        printed.append(text)

    monkeypatch.setattr(metric_buffer.logger, "info", print_slowly)
    lines = MetricBuffer(interval_s=0)
    lines.add_lines(["a request"])
    assert is_printing.wait(10)
    lines.flush()
    assert printed == ["a request"]


def test_a_request_turned_away_is_logged_at_once(worker, archive_folder, photos, caplog) -> None:
    (archive_folder / DRAIN_MARKER_FILE).write_text("version_retired")
    with caplog.at_level(logging.INFO, logger="handlers.metric_buffer"):
        worker.answer([{"body": photos["red"], "x-correlation-id": b"a-2"}], [{}])
    (line,) = written(caplog)
    assert (line["status"], line["correlation_id"], line["duration_ms"]) == (404, "a-2", 0.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(correlation_id=st.text(), traceparent=st.text())
def test_no_header_breaks_out_of_its_line(
    card: ModelCard, caplog: pytest.LogCaptureFixture, correlation_id: str, traceparent: str
) -> None:
    sent = {"x-correlation-id": correlation_id, "traceparent": traceparent}
    answer = Answer(status=200, body=b"", headers=echo_headers(sent))
    (line,) = logged(card, [answer], caplog)
    assert line["correlation_id"] in (correlation_id, None)
    assert line["traceparent"] in (traceparent, None)
