"""The gRPC client against a local gRPC server: the errors of HTTP, the same retries, cancels and tokens."""

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
    """Answers with what `script` holds, in turn and the last for ever: a body, or a status with its words."""

    def __init__(self, messages):
        self._messages = messages
        self.script = []
        self.seen = []
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
        self.seen.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        told = self.script[min(len(self.seen), len(self.script)) - 1]
        if told == "wait":
            self.released.wait(10)
            told = {}
        if callable(told):
            told = told(self.metadata[-1])
        if isinstance(told, tuple):
            context.abort(*told)
        return self._messages.PredictionResponse(prediction=json.dumps(told).encode())


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


def test_asks_as_documented(client, inference, answer):
    inference.script = [answer]
    assert client.predict("clothing", b"photo", top_k=2, version="1.0").top.label == "hat"
    (request,) = inference.seen
    assert (request.model_name, request.model_version) == ("clothing", "1.0")
    assert dict(request.input) == {"000000": b"photo", "top_k": b"2"}
    assert "authorization" not in inference.metadata[0]


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
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
def test_statuses_are_the_errors_of_http_and_tried_again_as_there(
    client, inference, status, kind, tries
):
    inference.script = [status]
    with pytest.raises(kind) as caught:
        client.predict("clothing", b"photo")
    assert type(caught.value) is kind
    assert len(inference.seen) == tries
    assert str(caught.value)
    assert JAVA not in str(caught.value)


def test_an_error_in_the_body_is_raised(client, inference):
    error = {"status": 413, "code": "image_too_large", "message": "no"}
    inference.script = [{"model": {}, "error": error}]
    with pytest.raises(TooLargeError) as caught:
        client.predict("clothing", b"photo")
    assert (caught.value.status, caught.value.code) == (413, "image_too_large")
    assert len(inference.seen) == 1


def test_a_silent_server_costs_the_time_given(client, inference):
    inference.script = ["wait"]
    with pytest.raises(DeadlineError, match=r"within 0\.2 s"):
        client.predict("clothing", b"photo", timeout_s=0.2)


def test_several_photos_are_sent_in_their_order(client, inference, answer):
    inference.script = [
        {"model": answer["model"], "results": [{"predictions": answer["predictions"]}] * 30}
    ]
    photos = [bytes([number]) for number in range(30)]
    assert len(client.predict("clothing", photos)) == 30
    assert [request.input[f"{n:06}"] for request in inference.seen for n in range(30)] == photos


def test_a_refused_token_is_read_again(address, inference, answer, tmp_path):
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


def test_nobody_listening_is_unreachable_soon(monkeypatch):
    monkeypatch.setattr(retries, "BASE_DELAY_S", 0.001)
    with (
        GrpcClient(Endpoint(address="http://127.0.0.1:9")) as client,
        pytest.raises(UnreachableError, match="failed to connect"),
    ):
        client.predict("clothing", b"photo", timeout_s=10)


def test_what_is_larger_than_the_server_takes_is_not_even_sent(client, inference):
    with pytest.raises(TooLargeError):
        client.predict("clothing", bytes(20_000_001))
    assert inference.seen == []


def test_ready_is_the_handlers_own_word(client, inference):
    inference.script = [{"error": {"status": 400, "code": "empty_body", "message": "no"}}]
    assert client.ready("clothing")
    inference.script = [(grpc.StatusCode.INTERNAL, NO_MODEL)]
    assert not client.ready("clothing")
