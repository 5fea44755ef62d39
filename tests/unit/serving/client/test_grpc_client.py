"""The gRPC client against a local gRPC server: the same errors, retries, timeouts and tokens as over HTTP."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from serving import stubs
from serving.client import GrpcClient, retries
from serving.client.endpoint import Endpoint
from serving.client.grpc_transport import METHOD
from serving.client.token_sources import GivenToken, TokenFile
from serving.errors import (
    BadImageError,
    DeadlineError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    TooLargeError,
    UnauthorisedError,
    UnreachableError,
)

JAVA = "org.pytorch.serve"
NO_MODEL = f"Model not found: x {JAVA}.archive.model.ModelNotFoundException"
DEAD_WORKER = f"Prediction failed {JAVA}.http.InternalServerException"
FULL_QUEUE = 'Model "x" Version 1.0 has no worker to serve inference request.'


class Inference(grpc.GenericRpcHandler):
    """Responds with the entries of `script` in turn, the last one for ever: a body, or a status and its details."""

    def __init__(self, messages):
        self._messages = messages
        self.script = []
        self.received = []
        self.metadata = []
        self.released = threading.Event()

    def service(self, details):
        if details.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self.answer,
            request_deserializer=self._messages.PredictionsRequest.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def answer(self, request, context):
        self.received.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        response = self.script[min(len(self.received), len(self.script)) - 1]
        if response == "wait":
            self.released.wait(10)
            response = {}
        if callable(response):
            response = response(self.metadata[-1])
        if isinstance(response, tuple):
            context.abort(*response)
        return self._messages.PredictionResponse(prediction=json.dumps(response).encode())


@pytest.fixture
def inference():
    return Inference(stubs.load("inference")[0])


@pytest.fixture
def address(inference, monkeypatch):
    monkeypatch.setattr(retries, "BASE_DELAY_S", 0.001)
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((inference,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"http://127.0.0.1:{port}"
        inference.released.set()
        server.stop(grace=None).wait(10)


@pytest.fixture
def client(address):
    with GrpcClient(Endpoint(address=address)) as client:
        yield client


def test_a_request_is_sent_as_documented(client, inference, answer):
    inference.script = [answer]
    assert client.predict("clothing", b"photo", top_k=2, version="1.0").top.label == "hat"
    (request,) = inference.received
    assert (request.model_name, request.model_version) == ("clothing", "1.0")
    assert dict(request.input) == {"000000": b"photo", "top_k": b"2"}
    assert "authorization" not in inference.metadata[0]


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        ((grpc.StatusCode.INTERNAL, NO_MODEL), NotFoundError, 1),
        ((grpc.StatusCode.INTERNAL, FULL_QUEUE), OverloadedError, retries.RETRIES + 1),
        ((grpc.StatusCode.INTERNAL, "Worker died."), InternalServerError, retries.RETRIES + 1),
        ((grpc.StatusCode.UNAVAILABLE, DEAD_WORKER), InternalServerError, retries.RETRIES + 1),
        ((grpc.StatusCode.UNAVAILABLE, "gone"), UnreachableError, retries.RETRIES + 1),
        ((grpc.StatusCode.UNKNOWN, ""), InternalServerError, retries.RETRIES + 1),
        ((grpc.StatusCode.PERMISSION_DENIED, "Token"), UnauthorisedError, 1),
        ((grpc.StatusCode.UNAUTHENTICATED, "Token"), UnauthorisedError, 1),
        ((grpc.StatusCode.RESOURCE_EXHAUSTED, "large"), TooLargeError, 1),
        ((grpc.StatusCode.INVALID_ARGUMENT, "bad"), BadImageError, 1),
        ((grpc.StatusCode.DEADLINE_EXCEEDED, "late"), DeadlineError, 1),
    ],
)
def test_statuses_raise_the_errors_of_http_and_are_retried_as_there(
    client, inference, status, kind, attempts
):
    inference.script = [status]
    with pytest.raises(kind) as caught:
        client.predict("clothing", b"photo")
    assert type(caught.value) is kind
    assert len(inference.received) == attempts
    assert str(caught.value)
    assert JAVA not in str(caught.value)


def test_an_error_in_the_body_is_raised(client, inference):
    error = {"status": 413, "code": "image_too_large", "message": "no"}
    inference.script = [{"model": {}, "error": error}]
    with pytest.raises(TooLargeError) as caught:
        client.predict("clothing", b"photo")
    assert (caught.value.status, caught.value.code) == (413, "image_too_large")
    assert len(inference.received) == 1


def test_a_silent_server_takes_no_longer_than_the_timeout(client, inference):
    inference.script = ["wait"]
    with pytest.raises(DeadlineError, match=r"within 0\.2 s"):
        client.predict("clothing", b"photo", timeout_s=0.2)


def test_several_photos_are_sent_in_their_order(client, inference, answer):
    inference.script = [
        {"model": answer["model"], "results": [{"predictions": answer["predictions"]}] * 30}
    ]
    photos = [bytes([number]) for number in range(30)]
    assert len(client.predict("clothing", photos)) == 30
    assert [request.input[f"{n:06}"] for request in inference.received for n in range(30)] == photos


def test_a_rejected_token_is_read_again(address, inference, answer, tmp_path):
    file = tmp_path / "token"
    file.write_text("old")

    def guard(metadata):
        if metadata["authorization"] == "Bearer new":
            return answer
        return grpc.StatusCode.PERMISSION_DENIED, "Token Authorization failed"

    inference.script = [guard]
    endpoint = Endpoint(address=address, token=TokenFile(file))
    with GrpcClient(endpoint) as client:
        with pytest.raises(UnauthorisedError):
            client.predict("clothing", b"photo")
        file.write_text("new")
        assert client.predict("clothing", b"photo").version == "1.0"
    given = Endpoint(address=address, token=GivenToken("old"))
    with GrpcClient(given) as client, pytest.raises(UnauthorisedError):
        client.predict("clothing", b"photo")


def test_a_closed_port_is_unreachable_at_once(monkeypatch):
    monkeypatch.setattr(retries, "BASE_DELAY_S", 0.001)
    with (
        GrpcClient(Endpoint(address="http://127.0.0.1:9")) as client,
        pytest.raises(UnreachableError, match="failed to connect"),
    ):
        client.predict("clothing", b"photo", timeout_s=10)


def test_what_exceeds_the_servers_limit_is_not_sent(client, inference):
    with pytest.raises(
        TooLargeError, match=r"has 20,000,0\d\d bytes.*by default 20,000,000"
    ) as caught:
        client.predict("clothing", bytes(20_000_001))
    assert (caught.value.status, caught.value.code) == (413, "request_too_large")
    assert inference.received == []


def test_the_limit_is_the_servers_own_where_it_is_known(address, inference, answer):
    inference.script = [{"model": answer["model"], "results": [answer, answer]}]
    with GrpcClient(Endpoint(address=address, request_limit_bytes=200)) as client:
        assert len(client.predict("clothing", [bytes(70), bytes(70)])) == 2
        with pytest.raises(TooLargeError, match=r"has 2\d\d bytes, .*accepts: 200 \("):
            client.predict("clothing", [bytes(100), bytes(100)])
    assert len(inference.received) == 1


def test_a_model_is_ready_if_its_handler_rejects_an_empty_photo(client, inference):
    inference.script = [{"error": {"status": 400, "code": "empty_body", "message": "no"}}]
    assert client.is_ready("clothing")
    inference.script = [(grpc.StatusCode.INTERNAL, NO_MODEL)]
    assert not client.is_ready("clothing")
