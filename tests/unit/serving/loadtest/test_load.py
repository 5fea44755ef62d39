"""The load generator, against a server of a few lines that answers after a known time."""

import time

import pytest

from serving.errors import ServerError
from serving.loadtest.http_target import HttpTarget
from serving.loadtest.load import CONNECTION_LOST, closed_loop, open_loop, send_each
from tests.unit.serving.loadtest.helpers import ANSWER_S, LOST, PHOTOS, serving


def failures_of(target: HttpTarget) -> list[str | None]:
    return [sample.failure for sample in send_each(target, PHOTOS)]


def test_a_closed_loop_keeps_its_connections_busy():
    with serving() as target:
        result = closed_loop(target, PHOTOS, connections=4, seconds=0.4, warm_up_s=0.1)
    # 4 connections of 20 ms each make 200 a second; a busy machine makes fewer, never more.
    assert 40 <= result.requests_per_s <= 205
    assert result.percentile_ms(0.5) >= 1e3 * ANSWER_S * 0.95
    assert result.failed == 0


def test_a_closed_loop_waits_where_the_server_answers_one_request_at_a_time():
    with serving(workers=1) as target:
        result = closed_loop(target, PHOTOS, connections=4, seconds=0.4)
    assert result.requests_per_s <= 52
    assert result.percentile_ms(0.9) >= 3 * 1e3 * ANSWER_S


def test_a_connection_that_pauses_sends_fewer_requests():
    with serving() as target:
        result = closed_loop(target, PHOTOS, connections=1, seconds=0.5, pause_s=0.1)
    assert 1 <= len(result.latencies_ms) <= 5
    # The pause does not count as latency.
    assert min(result.latencies_ms) < 100


def test_an_open_loop_sends_when_a_request_is_due_and_counts_from_then():
    with serving(workers=1) as target:
        began = time.perf_counter()
        result = open_loop(target, PHOTOS, rate_per_s=100, seconds=0.4, seed=1)
    count = len(result.latencies_ms)
    # Twice what the server can do: every request is sent all the same, and the last waits for all before it.
    assert 20 <= count <= 70
    assert time.perf_counter() - began >= count * ANSWER_S * 0.95
    assert result.percentile_ms(0.99) >= 1e3 * (count * ANSWER_S - 0.4) * 0.8


def test_arrivals_are_the_same_for_the_same_seed():
    with serving() as target:
        first, again, other = (
            open_loop(target, PHOTOS, rate_per_s=80, seconds=0.2, seed=seed).requests
            for seed in (1, 1, 3)
        )
    assert first == again
    assert first != other


def test_error_statuses_and_lost_connections_are_failures():
    with serving(status=lambda body: 503 if body == PHOTOS[0] else 200) as target:
        assert failures_of(target) == ["HTTP 503", None]
        result = closed_loop(target, PHOTOS, connections=1, seconds=0.2)
    assert result.failures["HTTP 503"] == result.failed >= 1
    assert result.latencies_ms
    with serving(status=lambda body: LOST if body == PHOTOS[0] else 200) as target:
        assert failures_of(target) == [CONNECTION_LOST, None]


def test_a_server_that_is_gone_fails_every_request_and_is_not_flooded_with_them():
    with serving() as target:
        pass
    result = closed_loop(target, PHOTOS, connections=1, seconds=0.3)
    assert result.requests_per_s == 0
    assert 1 <= result.failed <= 7


def test_a_measurement_in_which_no_request_ended_is_an_error():
    with serving() as target, pytest.raises(ServerError, match="no request was answered within"):
        closed_loop(target, PHOTOS, connections=1, seconds=0.005)


@pytest.mark.parametrize("form_field", [None, "photo"])
def test_a_photo_is_sent_as_the_body_or_as_a_field_of_a_form(form_field: str | None):
    target = HttpTarget(url="http://127.0.0.1:80/predict?x", token="secret", form_field=form_field)
    head, _, body = target.request(b"\xff bytes").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert f"Content-Length: {len(body)}" in lines
    assert "Authorization: Bearer secret" in lines
    assert body == target.body(b"\xff bytes")
    assert (b'name="photo"' in body) == (form_field is not None)
