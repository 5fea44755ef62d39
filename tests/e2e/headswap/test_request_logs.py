"""The two logs of a real server: a line of JSON for each request, with the client's own id in it."""

import json
import time
from pathlib import Path
from typing import Any

import requests

from serving.settings import ServerSettings
from serving.tokens import read_token

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LIMIT_S = 30


def wait_for_line(path: Path, wanted: str) -> list[dict[str, Any]]:
    """Return the lines that hold the text; the server writes them after it has answered."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        lines = path.read_text().splitlines() if path.exists() else []
        if found := [json.loads(line) for line in lines if wanted in line]:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path.name} has no line with {wanted} after {LIMIT_S} s")


def test_a_request_is_one_line_in_each_log(steady: ServerSettings, photos: list[bytes]) -> None:
    logs = steady.state / "logs"
    headers = {
        "Authorization": f"Bearer {read_token(steady.key_file, 'inference')}",
        "X-Correlation-Id": 'order-4711"}',
        "traceparent": TRACE,
    }
    url = f"{steady.inference_url}/predictions/clothing"
    answer = requests.post(f"{url}?mark=4711", data=photos[0], headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["X-Correlation-Id"] == 'order-4711"}'
    assert answer.headers["traceparent"] == TRACE

    (line,) = wait_for_line(logs / "requests.log", "order-4711")
    assert (line["status"], line["model"], line["version"]) == (200, "clothing", "1.0")
    assert (line["correlation_id"], line["traceparent"]) == ('order-4711"}', TRACE)
    assert 0 < line["duration_ms"] < answer.elapsed.total_seconds() * 1000 + 1

    (line,) = wait_for_line(logs / "access.log", "mark=4711")
    assert (line["method"], line["path"]) == ("POST", "/predictions/clothing?mark=4711")
    assert (line["status"], line["duration_ms"] >= 0) == (200, True)
    assert "order-4711" not in (logs / "server.log").read_text()
