"""The client against a local HTTP server: what is retried, what is not, and what each response becomes."""

import contextlib
import json
import re
import socket
import threading
import time

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from serving.client import HttpClient, map_in_order, retries
from serving.client.endpoint import Endpoint
from serving.errors import (
    BadImageError,
    DeadlineError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    RequestError,
    TooLargeError,
    UnauthorisedError,
)

PATH = "/predictions/clothing"
FULL_QUEUE = {
    "code": 503,
    "type": "ServiceUnavailableException",
    "message": 'Model "clothing" Version 1.0 has no worker to serve inference request.',
}


def rejection(status, code="undecodable_image"):
    return {
        "model": {"name": "clothing", "version": "1.0"},
        "error": {"status": status, "code": code, "message": "no"},
    }


@pytest.fixture
def client(httpserver: HTTPServer, monkeypatch):
    monkeypatch.setattr(retries, "BASE_DELAY_S", 0.001)
    with HttpClient(Endpoint(address=httpserver.url_for("").rstrip("/"))) as client:
        yield client


def serve_in_turn(httpserver, *answers):
    """Respond with each answer in turn, the last one for ever; return the requests received."""
    received: list[Request] = []

    def handle(request: Request) -> Response:
        received.append(request)
        status, body = answers[min(len(received), len(answers)) - 1]
        return Response(json.dumps(body), status=status, content_type="application/json")

    httpserver.expect_request(PATH).respond_with_handler(handle)
    return received


def test_a_client_that_allows_no_capture_says_so_with_every_photo(httpserver, client):
    received: list[Request] = []

    def refuse(request: Request) -> Response:
        received.append(request)
        return Response(json.dumps(rejection(400)), status=400, content_type="application/json")

    httpserver.expect_request(re.compile("/.*")).respond_with_handler(refuse)
    for allowed in (True, False):
        client.allows_capture = allowed
        for photos in (b"photo", {"a": b"photo"}, [b"photo", b"other"]):
            with contextlib.suppress(RequestError):
                client.predict("clothing", photos)
        for explain in (client.explain, client.explain_png):
            with contextlib.suppress(RequestError):
                explain("clothing", b"photo")
    assert [request.headers.get("X-Headswap-Capture") for request in received] == (
        [None] * 5 + ["no"] * 5
    )


def test_a_request_is_sent_as_documented(httpserver, client, answer):
    received = serve_in_turn(httpserver, (200, answer))
    prediction = client.predict("clothing", b"photo", top_k=2)
    assert (prediction.version, prediction.top.label, prediction.top.probability) == (
        "1.0",
        "hat",
        0.9,
    )
    (request,) = received
    assert (request.method, request.data) == ("POST", b"photo")
    assert request.headers["X-Top-K"] == "2"
    assert "Authorization" not in request.headers


def test_names_and_versions_are_escaped_in_the_path(httpserver, client, answer):
    httpserver.expect_request("/predictions/a/../b c/1?x").respond_with_json(answer)
    client.predict("a/../b c", b"photo", version="1?x")
    ((request, _),) = httpserver.log
    assert request.environ["RAW_URI"] == "/predictions/a%2F..%2Fb%20c/1%3Fx"


@pytest.mark.parametrize("status", [500, 503, 507])
def test_a_dead_worker_is_retried(httpserver, client, answer, status):
    dead = {"code": status, "type": "InternalServerException", "message": "Worker died."}
    received = serve_in_turn(httpserver, (status, dead), (status, dead), (200, answer))
    assert client.predict("clothing", b"photo").top.label == "hat"
    assert len(received) == 3


def test_a_full_queue_is_retried_and_then_raised(httpserver, client):
    received = serve_in_turn(httpserver, (503, FULL_QUEUE))
    with pytest.raises(OverloadedError):
        client.predict("clothing", b"photo")
    assert len(received) == retries.RETRIES + 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, rejection(400), BadImageError),
        (415, rejection(415), BadImageError),
        (413, rejection(413), TooLargeError),
        (404, {"code": 404, "type": "ModelNotFoundException", "message": "no"}, NotFoundError),
        (400, {"code": 400, "type": "InvalidKeyException", "message": "no"}, UnauthorisedError),
        (401, "no token", UnauthorisedError),
        (504, rejection(504, "deadline_exceeded"), DeadlineError),
    ],
)
def test_what_would_only_fail_again_is_not_retried(httpserver, client, status, body, kind):
    received = serve_in_turn(httpserver, (status, body))
    with pytest.raises(kind) as caught:
        client.predict("clothing", b"photo")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert len(received) == 1


@pytest.mark.parametrize(
    ("limit_bytes", "named"), [(4, "accepts: 4 "), (None, "accepts: by default 20,000,000 ")]
)
def test_torchserves_empty_413_names_the_limit(httpserver, limit_bytes, named):
    httpserver.expect_request(PATH).respond_with_data(b"", status=413)
    endpoint = Endpoint(address=httpserver.url_for("").rstrip("/"), request_limit_bytes=limit_bytes)
    with HttpClient(endpoint) as client, pytest.raises(TooLargeError) as caught:
        client.predict("clothing", b"photo")
    assert "the request has 5 bytes, more" in str(caught.value)
    assert f"{named}(max_request_size in its config.properties)" in str(caught.value)
    assert (caught.value.status, caught.value.code) == (413, "request_too_large")


def test_a_connection_closed_over_a_larger_request_names_the_limit():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        endpoint = Endpoint(address=address, request_limit_bytes=1000)
        with HttpClient(endpoint) as client, pytest.raises(TooLargeError, match="accepts: 1,000 "):
            client.predict("clothing", bytes(5_000_000))
        thread.join(10)


def test_an_error_in_the_body_is_raised_even_with_status_200(httpserver, client):
    serve_in_turn(httpserver, (200, rejection(413, "image_too_large")))
    with pytest.raises(TooLargeError) as caught:
        client.predict("clothing", b"photo")
    assert (caught.value.status, caught.value.code) == (413, "image_too_large")


def test_a_silent_server_takes_no_longer_than_the_timeout(httpserver, client):
    released = threading.Event()

    def wait(_: Request) -> Response:
        released.wait(10)
        return Response()

    httpserver.expect_request(PATH).respond_with_handler(wait)
    began = time.monotonic()
    try:
        with pytest.raises(DeadlineError):
            client.predict("clothing", b"photo", timeout_s=0.2)
        assert time.monotonic() - began < 5
    finally:
        released.set()


def test_several_photos_are_one_request_with_an_outcome_each(httpserver, client, answer):
    def handle(request: Request) -> Response:
        assert [part.read() for part in request.files.values()] == [b"a", b"b"]
        results = [{"error": rejection(400)["error"]}, {"predictions": answer["predictions"]}]
        return Response(json.dumps({"model": answer["model"], "results": results}))

    httpserver.expect_request(PATH).respond_with_handler(handle)
    bad, good = client.predict("clothing", [b"a", b"b"])
    assert isinstance(bad, BadImageError)
    assert good.top.label == "hat"


def test_outcomes_are_matched_by_name_and_carry_that_of_their_photo(httpserver, client, answer):
    def result(name, label):
        return {"name": name, "predictions": [{"label": label, "index": 0, "probability": 1.0}]}

    results = [result("000002", "third"), result("000000", "first"), result("000001", "second")]
    results[0] = {"name": "000002", "error": rejection(400)["error"]}
    serve_in_turn(httpserver, (200, {"model": answer["model"], "results": results}))
    for photos, names in (
        ([b"a", b"b", b"c"], ["0", "1", "2"]),
        ({"top_k": b"a", "x.jpg": b"b", "y": b"c"}, ["top_k", "x.jpg", "y"]),
    ):
        first, second, third = client.predict("clothing", photos)
        assert (first.top.label, second.top.label, third.code) == (
            "first",
            "second",
            "undecodable_image",
        )
        assert [first.name, second.name, third.name] == names


@pytest.mark.parametrize("names", [["000000"], ["000000", "000000"], ["000000", "7"], ["0"] * 3])
def test_a_missing_or_repeated_result_is_an_error(httpserver, client, answer, names):
    results = [{"name": name, "predictions": answer["predictions"]} for name in names]
    serve_in_turn(httpserver, (200, {"model": answer["model"], "results": results}))
    with pytest.raises(InternalServerError):
        client.predict("clothing", [b"a", b"b"])


def test_a_dict_of_one_names_its_outcome(httpserver, client, answer):
    serve_in_turn(httpserver, (200, answer), (400, rejection(400)))
    assert client.predict("clothing", {"a.jpg": b"a"})[0].name == "a.jpg"
    assert client.predict("clothing", {"b.jpg": b"b"})[0].name == "b.jpg"


def test_a_list_of_one_has_one_outcome_and_an_empty_list_none(httpserver, client, answer):
    serve_in_turn(
        httpserver, (400, rejection(400)), (200, answer), (400, rejection(400, "invalid_top_k"))
    )
    assert client.predict("clothing", []) == []
    (bad,) = client.predict("clothing", [b"a"])
    assert isinstance(bad, BadImageError)
    assert [outcome.version for outcome in client.predict("clothing", [b"a"])] == ["1.0"]
    with pytest.raises(BadImageError):
        client.predict("clothing", [b"a"], top_k=0)


@pytest.mark.parametrize(
    ("status", "body", "ready"),
    [
        (400, rejection(400, "empty_body"), True),
        (503, FULL_QUEUE, False),
        (500, {"message": "Worker died."}, False),
        (404, {"type": "ModelNotFoundException"}, False),
    ],
)
def test_a_model_is_ready_if_its_handler_rejects_an_empty_photo(
    httpserver, client, status, body, ready
):
    received = serve_in_turn(httpserver, (status, body))
    assert client.is_ready("clothing") is ready
    assert received[0].data == b""


def test_explanations_are_typed(httpserver, client, answer):
    explanation = {
        "label": "hat",
        "index": 1,
        "probability": 0.9,
        "method": "grad-cam",
        "image_size_px": 96,
        "heat_map": [[0, 1.0]],
    }
    httpserver.expect_request(
        "/explanations/clothing", headers={"X-Explain-Class": "hat"}
    ).respond_with_json({"model": answer["model"], "explanation": explanation})
    result = client.explain("clothing", b"photo", class_name="hat")
    assert (result.version, result.label, result.heat_map) == ("1.0", "hat", ((0.0, 1.0),))


def test_photos_sent_at_once_keep_their_order_and_their_errors(httpserver, client, answer):
    def handle(request: Request) -> Response:
        if request.data == b"7":
            return Response(json.dumps(rejection(400)), status=400)
        model = {"name": "m", "version": request.data.decode()}
        return Response(json.dumps(answer | {"model": model}))

    httpserver.expect_request(PATH).respond_with_handler(handle)
    photos = [str(number).encode() for number in range(20)]
    outcomes = list(
        map_in_order(lambda photo: client.predict("clothing", photo), photos, in_flight=4)
    )
    assert isinstance(outcomes.pop(7), BadImageError)
    assert [outcome.version for outcome in outcomes] == [str(n) for n in range(20) if n != 7]
