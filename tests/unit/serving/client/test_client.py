"""The client against a local HTTP server: what is tried again, what is not, and what comes of each answer."""

import contextlib
import json
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from serving.client import HttpClient, in_order, retries
from serving.client.bodies import (
    error_in,
    read_explanation,
    read_outcomes,
    read_picture,
    read_prediction,
)
from serving.client.endpoint import Endpoint, parse_address
from serving.client.management import Management
from serving.client.token_sources import GivenToken
from serving.errors import (
    AddressError,
    BadImageError,
    ConflictError,
    DeadlineError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    RequestError,
    TooLargeError,
    UnauthorisedError,
    UnreachableError,
)

PATH = "/predictions/clothing"
FULL_QUEUE = {
    "code": 503,
    "type": "ServiceUnavailableException",
    "message": 'Model "clothing" Version 1.0 has no worker to serve inference request.',
}


def refusal(status, code="undecodable_image"):
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
    """Answer with each in turn and the last from then on; return the requests seen."""
    seen: list[Request] = []

    def handle(request: Request) -> Response:
        seen.append(request)
        status, body = answers[min(len(seen), len(answers)) - 1]
        return Response(json.dumps(body), status=status, content_type="application/json")

    httpserver.expect_request(PATH).respond_with_handler(handle)
    return seen


def test_asks_as_documented(httpserver, client, answer):
    seen = serve_in_turn(httpserver, (200, answer))
    found = client.predict("clothing", b"photo", top_k=2)
    assert (found.version, found.top.label, found.top.probability) == ("1.0", "hat", 0.9)
    (request,) = seen
    assert (request.method, request.data) == ("POST", b"photo")
    assert request.headers["X-Top-K"] == "2"
    assert "Authorization" not in request.headers


def test_names_and_versions_never_lead_to_another_path(httpserver, client, answer):
    httpserver.expect_request("/predictions/a/../b c/1?x").respond_with_json(answer)
    client.predict("a/../b c", b"photo", version="1?x")
    ((request, _),) = httpserver.log
    assert request.environ["RAW_URI"] == "/predictions/a%2F..%2Fb%20c/1%3Fx"


@pytest.mark.parametrize("status", [500, 503, 507])
def test_tries_again_after_a_dead_worker(httpserver, client, answer, status):
    dead = {"code": status, "type": "InternalServerException", "message": "Worker died."}
    seen = serve_in_turn(httpserver, (status, dead), (status, dead), (200, answer))
    assert client.predict("clothing", b"photo").top.label == "hat"
    assert len(seen) == 3


def test_a_full_queue_is_tried_again_and_named_in_the_end(httpserver, client):
    seen = serve_in_turn(httpserver, (503, FULL_QUEUE))
    with pytest.raises(OverloadedError):
        client.predict("clothing", b"photo")
    assert len(seen) == retries.RETRIES + 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, refusal(400), BadImageError),
        (415, refusal(415), BadImageError),
        (413, refusal(413), TooLargeError),
        (404, {"code": 404, "type": "ModelNotFoundException", "message": "no"}, NotFoundError),
        (400, {"code": 400, "type": "InvalidKeyException", "message": "no"}, UnauthorisedError),
        (401, "no token", UnauthorisedError),
        (504, refusal(504, "deadline_exceeded"), DeadlineError),
    ],
)
def test_what_would_only_fail_again_is_asked_once(httpserver, client, status, body, kind):
    seen = serve_in_turn(httpserver, (status, body))
    with pytest.raises(kind) as caught:
        client.predict("clothing", b"photo")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert len(seen) == 1


def test_an_error_body_under_status_200_is_raised_as_grpc_needs_it(httpserver, client):
    serve_in_turn(httpserver, (200, refusal(413, "image_too_large")))
    with pytest.raises(TooLargeError) as caught:
        client.predict("clothing", b"photo")
    assert (caught.value.status, caught.value.code) == (413, "image_too_large")


def test_a_silent_server_costs_the_time_given_and_no_more(httpserver, client):
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


def test_nobody_listening_is_tried_again_only_while_there_is_time():
    tries = []

    def refuse(left_s):
        tries.append(left_s)
        raise UnreachableError("nobody")

    with pytest.raises(UnreachableError):
        retries.retried(refuse, timeout_s=0.01)
    assert len(tries) == 1
    with pytest.raises(UnreachableError):
        retries.retried(refuse, timeout_s=60)
    assert len(tries) == 1 + retries.RETRIES + 1
    assert all(later < earlier for earlier, later in pairwise(tries[1:]))


@given(st.integers(1, retries.RETRIES))
def test_waits_are_spread_but_bounded(retry):
    middle_s = retries.BASE_DELAY_S * 2 ** (retry - 1)
    assert 0.5 * middle_s <= retries.delay_before(retry) <= 1.5 * middle_s


def test_waits_differ_between_clients():
    assert len({retries.delay_before(1) for _ in range(20)}) > 1


def test_several_photos_are_one_request_with_an_outcome_each(httpserver, client, answer):
    def handle(request: Request) -> Response:
        assert [part.read() for part in request.files.values()] == [b"a", b"b"]
        results = [{"error": refusal(400)["error"]}, {"predictions": answer["predictions"]}]
        return Response(json.dumps({"model": answer["model"], "results": results}))

    httpserver.expect_request(PATH).respond_with_handler(handle)
    bad, good = client.predict("clothing", [b"a", b"b"])
    assert isinstance(bad, BadImageError)
    assert good.top.label == "hat"


def test_a_list_of_one_has_one_outcome_and_of_none_none(httpserver, client, answer):
    serve_in_turn(
        httpserver, (400, refusal(400)), (200, answer), (400, refusal(400, "invalid_top_k"))
    )
    assert client.predict("clothing", []) == []
    (bad,) = client.predict("clothing", [b"a"])
    assert isinstance(bad, BadImageError)
    assert [one.version for one in client.predict("clothing", [b"a"])] == ["1.0"]
    with pytest.raises(BadImageError):
        client.predict("clothing", [b"a"], top_k=0)


def test_many_keep_their_order_over_one_pool(httpserver, client, answer):
    under_way, most, lock = 0, 0, threading.Lock()

    def handle(request: Request) -> Response:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002 * (int(request.data) % 3))
        with lock:
            under_way -= 1
        if request.data == b"7":
            return Response(json.dumps(refusal(400)), status=400)
        return Response(
            json.dumps(answer | {"model": {"name": "m", "version": request.data.decode()}})
        )

    httpserver.expect_request(PATH).respond_with_handler(handle)
    photos = [str(number).encode() for number in range(20)]
    outcomes = list(client.predict_many("clothing", photos, in_flight=4))
    assert isinstance(outcomes.pop(7), BadImageError)
    assert [one.version for one in outcomes] == [str(n) for n in range(20) if n != 7]
    assert most <= 4


def test_only_as_many_questions_are_drawn_as_are_needed():
    drawn = []

    def questions():
        for number in range(1000):
            drawn.append(number)
            yield number

    answers = in_order(lambda number: number, questions(), in_flight=3)
    assert [next(answers) for _ in range(5)] == [0, 1, 2, 3, 4]
    answers.close()
    assert len(drawn) <= 5 + 2 * 3


def test_an_error_stands_in_its_place():
    found = list(in_order(lambda number: 1 / number, [1, 0, 2], in_flight=2))
    assert (found[0], type(found[1]), found[2]) == (1.0, ZeroDivisionError, 0.5)


@pytest.mark.parametrize(
    ("status", "body", "ready"),
    [
        (400, refusal(400, "empty_body"), True),
        (503, FULL_QUEUE, False),
        (500, {"message": "Worker died."}, False),
        (404, {"type": "ModelNotFoundException"}, False),
    ],
)
def test_ready_is_the_handlers_own_word(httpserver, client, status, body, ready):
    seen = serve_in_turn(httpserver, (status, body))
    assert client.ready("clothing") is ready
    assert seen[0].data == b""


def test_explanations_are_typed(httpserver, client, answer):
    told = {
        "label": "hat",
        "index": 1,
        "probability": 0.9,
        "method": "grad-cam",
        "image_size_px": 96,
        "heat_map": [[0, 1.0]],
    }
    httpserver.expect_request(
        "/explanations/clothing", headers={"X-Explain-Class": "hat"}
    ).respond_with_json({"model": answer["model"], "explanation": told})
    found = client.explain("clothing", b"photo", class_name="hat")
    assert (found.version, found.label, found.heat_map) == ("1.0", "hat", ((0.0, 1.0),))


def test_management_verbs_need_an_address(client):
    with pytest.raises(AddressError, match="no management address"):
        client.models()


def test_management_reads_every_page_and_names_conflicts(httpserver):
    httpserver.expect_request("/models", query_string="limit=100").respond_with_json(
        {"nextPageToken": "1", "models": [{"modelName": "a"}]}
    )
    httpserver.expect_request(
        "/models", query_string="limit=100&next_page_token=1"
    ).respond_with_json({"models": [{"modelName": "b"}]})
    httpserver.expect_request("/models", method="POST").respond_with_json(
        {"code": 409, "type": "ConflictStatusException", "message": "twice"}, status=409
    )
    endpoint = Endpoint(address=httpserver.url_for("").rstrip("/"), token=GivenToken("secret"))
    with HttpClient(endpoint, management=endpoint) as client:
        assert client.models() == ["a", "b"]
        with pytest.raises(ConflictError):
            client.management.register("a.mar", workers=1)
    assert {r.headers["Authorization"] for r, _ in httpserver.log} == {"Bearer secret"}
    with pytest.raises(UnreachableError, match="management address"):
        Management(Endpoint(address="http://127.0.0.1:9")).models()


def test_management_names_never_lead_to_another_path(httpserver):
    httpserver.expect_request("/models/a/../b/1?x/set-default").respond_with_json({})
    management = Management(Endpoint(address=httpserver.url_for("").rstrip("/")))
    management.set_default("a/../b", "1?x")
    management.close()
    ((request, _),) = httpserver.log
    assert request.environ["RAW_URI"] == "/models/a%2F..%2Fb/1%3Fx/set-default"


def test_a_registered_version_has_all_its_workers_before_register_returns(httpserver):
    described = []

    def describe(_: Request) -> Response:
        ready = [{"pid": pid, "status": "READY"} for pid in range(len(described))]
        described.append(ready)
        workers = [*ready, {"pid": 9, "status": "UNLOADING"}]
        told = [{"modelVersion": "1.0", "minWorkers": 2, "workers": workers}]
        return Response(json.dumps(told))

    httpserver.expect_request("/models", method="POST").respond_with_json({})
    httpserver.expect_request("/models/my-hats/all").respond_with_handler(describe)
    management = Management(Endpoint(address=httpserver.url_for("").rstrip("/")))
    management.register("my-hats-1.0.mar", workers=2)
    management.close()
    assert len(described) == 3


@given(st.binary(max_size=60))
def test_whatever_a_server_answers_is_a_result_or_one_of_our_errors(body):
    for read in (read_prediction, read_explanation, lambda told: read_outcomes(told, count=1)):
        with pytest.raises(RequestError):
            read(body)
    with contextlib.suppress(RequestError):
        assert read_picture(body).startswith(b"\x89PNG")
    assert isinstance(error_in(body, status=500), InternalServerError)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "predictions", "results", "error", "explanation", "heat_map", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_whatever_json_a_server_answers_is_a_result_or_one_of_our_errors(value):
    body = json.dumps(value).encode()
    for read in (read_prediction, read_explanation, lambda told: read_outcomes(told, count=1)):
        with pytest.raises(RequestError):
            read(body)
    assert isinstance(error_in(body, status=404), RequestError)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host", "http://host:8080"),
        ("host:1", "http://host:1"),
        ("https://h", "https://h:8080"),
        ("http://h:2/", "http://h:2"),
        ("[::1]:5", "http://[::1]:5"),
    ],
)
def test_addresses_are_read_as_people_write_them(text, address):
    assert parse_address(text, default_port=8080) == address


@pytest.mark.parametrize(
    "text", ["", "ftp://h", "http://h/path", "http://u:p@h", "h:port", "http://"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(AddressError, match="no address"):
        parse_address(text, default_port=8080)
