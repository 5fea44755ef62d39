"""The two request logs of a real server: one JSON line per request, with the client's correlation id."""

import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from serving.client import GrpcClient
from tests.e2e.headswap.engine import Engine

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TIMEOUT_S = 30


def wait_for_line(path: Path, wanted: str) -> list[dict[str, Any]]:
    """Return the lines that contain the text; the server writes them after it has answered."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        lines = path.read_text().splitlines() if path.exists() else []
        if matching := [json.loads(line) for line in lines if wanted in line]:
            return matching
        time.sleep(0.05)
    raise AssertionError(f"{path.name} has no line with {wanted} after {TIMEOUT_S} s")


def test_a_request_is_one_line_in_each_log(engine: Engine, photos: list[bytes]) -> None:
    logs = engine.logs
    headers = {
        "Authorization": f"Bearer {engine.token()}",
        "X-Correlation-Id": 'order-4711"}',
        "traceparent": TRACE,
    }
    url = f"{engine.inference_url}/predictions/clothing"
    response = requests.post(f"{url}?mark=4711", data=photos[0], headers=headers, timeout=60)
    assert response.status_code == 200
    assert response.headers["X-Correlation-Id"] == 'order-4711"}'
    assert response.headers["traceparent"] == TRACE

    (line,) = wait_for_line(logs / "requests.log", "order-4711")
    assert (line["status"], line["model"], line["version"]) == (200, "clothing", "1.0")
    assert (line["correlation_id"], line["traceparent"]) == ('order-4711"}', TRACE)
    assert 0 < line["duration_ms"] < response.elapsed.total_seconds() * 1000 + 1

    (line,) = wait_for_line(logs / "access.log", "mark=4711")
    assert (line["method"], line["path"]) == ("POST", "/predictions/clothing?mark=4711")
    assert (line["status"], line["duration_ms"] >= 0) == (200, True)
    others = set(logs.glob("*.log")) - {logs / "requests.log", logs / "access.log"}
    assert [path.name for path in others if "order-4711" in path.read_text()] == []


def test_a_grpc_request_is_one_line_in_each_log(engine: Engine, photos: list[bytes]) -> None:
    requests_log, access_log = (engine.logs / name for name in ("requests.log", "access.log"))

    def grpc_lines() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return (
            [line for line in all_lines(requests_log) if line["transport"] == "grpc"],
            [line for line in all_lines(access_log) if line["path"].endswith("/Predictions")],
        )

    before = grpc_lines()
    with engine.client(GrpcClient) as client:
        client.predict("clothing", photos[0], correlation_id="order-4712")
    after = grpc_lines()
    deadline = time.monotonic() + TIMEOUT_S
    while not all(len(new) == len(old) + 1 for new, old in zip(after, before, strict=True)):
        assert time.monotonic() < deadline, (before, after)
        after = grpc_lines()
    assert (after[0][-1]["status"], after[0][-1]["correlation_id"]) == (200, "order-4712")
    assert (after[1][-1]["method"], after[1][-1]["status"]) == ("gRPC", 0)


def all_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "target",
    [
        b'/predictions/a"b\\c?mark=4712',
        b"/predictions/%22%0a%7b?mark=4713",
        "/predictions/sch\u00f6n?mark=4714".encode(),
        b"/predictions/\x1b[31m\x7f?mark=4715",
        b"/predictions/$1${jndi:ldap://nowhere}?mark=4716",
        b"/predictions/two words?mark=4717",
    ],
    ids=["quote", "percent", "umlaut", "escape", "dollar", "space"],
)
def test_no_path_breaks_the_json_line(engine: Engine, target: bytes) -> None:
    parts = urlsplit(engine.inference_url)
    before = len(all_lines(engine.logs / "access.log"))
    with socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 4")
    if engine.name == "ray" and b"application/json" not in answer:
        # HAProxy's answer to what is not HTTP: no ingress has seen it, and there is nothing to log.
        assert len(all_lines(engine.logs / "access.log")) == before
        return
    lines: list[dict[str, Any]] = []
    deadline = time.monotonic() + TIMEOUT_S
    while len(lines) <= before and time.monotonic() < deadline:
        lines = all_lines(engine.logs / "access.log")
    assert len(lines) > before
    assert 400 <= lines[-1]["status"] < 500
