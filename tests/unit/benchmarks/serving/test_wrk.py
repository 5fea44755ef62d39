"""Every candidate gets the same photos in the form it accepts, from wrk and over sockets."""

import json

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from benchmarks.serving import wrk
from serving.loadtest.http_target import HttpTarget
from serving.loadtest.load import open_loop

PHOTO = b"\xff\xd8 bytes of a photo"


@pytest.mark.parametrize("form_field", [None, "photo"])
def test_an_open_loop_sends_photos_in_the_form_the_candidate_accepts(
    httpserver: HTTPServer, form_field
) -> None:
    received = serve(httpserver)
    target = target_of(httpserver, form_field)
    result = open_loop(target, [PHOTO], rate_per_s=50, seconds=0.4, seed=0)
    assert set(received) == {("Bearer key", PHOTO)}
    assert (len(result.latencies_ms), result.failed) == (len(received), 0)


def test_wrk_gets_the_target_and_its_figures_are_read(tmp_path, monkeypatch) -> None:
    program = tmp_path / "wrk"
    figures = {
        "requests": 30,
        "duration_s": 1.5,
        "p50_ms": 2,
        "p99_ms": 4,
        "bad_status": 1,
        "lost": 2,
    }
    program.write_text(
        f"""#!/bin/sh
echo "$@ $TOKEN $FORM_FIELD $CONTENT_TYPE $PHOTOS" > {tmp_path}/seen
echo '{json.dumps(figures)}'
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    target = HttpTarget(url="http://127.0.0.1:1/x", token="key", form_field="photo")
    result = wrk.closed_loop(target, tmp_path / "list.txt", connections=3, seconds=2)
    assert result == wrk.WrkResult(requests_per_s=20, p50_ms=2, p99_ms=4, failed=3)
    argv, token, *rest = (tmp_path / "seen").read_text().rsplit(" ", 4)
    assert "-c3 -d2s" in argv
    assert argv.endswith(target.url)
    assert (token, *rest) == ("key", "photo", target.content_type, f"{tmp_path / 'list.txt'}\n")


def serve(httpserver: HTTPServer) -> list[tuple[str | None, bytes]]:
    """Return a list that gets the token and the photo of each request."""
    received: list[tuple[str | None, bytes]] = []

    def answer(request: Request) -> Response:
        field = request.files.get("photo")
        photo = field.read() if field else request.data
        received.append((request.headers.get("Authorization"), photo))
        return Response("{}")

    httpserver.expect_request("/predict", method="POST").respond_with_handler(answer)
    return received


def target_of(httpserver: HTTPServer, form_field: str | None) -> HttpTarget:
    return HttpTarget(url=httpserver.url_for("/predict"), token="key", form_field=form_field)
