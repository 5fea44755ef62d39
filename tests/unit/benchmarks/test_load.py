"""Every contender is asked for the same photos in the shape it wants, by wrk, urllib and sockets alike."""

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from benchmarks.load import Target, measure_open

PHOTO = b"\xff\xd8 bytes of a photo"


@pytest.mark.parametrize("form_field", [None, "photo"])
def test_an_open_loop_sends_what_the_contender_wants(
    httpserver: HTTPServer, tmp_path, form_field
) -> None:
    photo = tmp_path / "000"
    photo.write_bytes(PHOTO)
    listing = tmp_path / "list.txt"
    listing.write_text(f"{photo}\n")
    seen = []

    def answer(request: Request) -> Response:
        field = request.files.get("photo")
        seen.append((request.headers.get("Authorization"), field.read() if field else request.data))
        return Response("{}")

    httpserver.expect_request("/predict", method="POST").respond_with_handler(answer)
    target = Target(url=httpserver.url_for("/predict"), token="key", form_field=form_field)
    told = measure_open(target, listing, rate_per_s=50, seconds=0.4, seed=0)
    assert set(seen) == {("Bearer key", PHOTO)}
    assert (len(told.latencies_ms), told.failed) == (len(seen), 0)
