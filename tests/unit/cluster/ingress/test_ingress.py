"""The ingress before a router in memory: TorchServe's own answers byte for byte, and the handler's passed on."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from ray.serve.exceptions import BackPressureError
from starlette.requests import Request
from starlette.testclient import TestClient

from cluster.errors import UnknownModelError, UnknownVersionError
from cluster.ingress.ingress import Ingress
from cluster.ingress.tokens import hash_token
from cluster.ingress.torchserve_errors import GrpcRejectedError
from cluster.message import Parameter
from cluster.replica import Answer
from serving import stubs

LIMIT_BYTES = 1000
TOKEN = {"authorization": "Bearer right"}
REJECTED = (
    b'{\n  "code": 400,\n  "type": "InvalidKeyException",\n  "message": "Token Authorization failed. '
    b'Token either incorrect, expired, or not provided correctly"\n}\n'
)


class MemoryRouter:
    """Answers every request with what it was asked, or raises `fault`."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.fault: Exception | None = None

    async def respond(self, *request: Any) -> Answer:
        self.asked.append(request)
        if self.fault is not None:
            raise self.fault
        return Answer(404, "Not Found", "image/png", {"X-Model-Version": "1.0"}, b"\x89PNG")


class GrpcContext:
    """What Serve gives to a method: metadata, and a place for the status."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata
        self.code, self.details = grpc.StatusCode.OK, ""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:10.0.0.1:4711"

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details


class Served:
    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.router = MemoryRouter()
        self.ingress = Ingress(
            token_hashes=[hash_token("right")], request_limit_bytes=LIMIT_BYTES, logs=str(logs)
        )
        self.ingress._router = self.router  # type: ignore[assignment]
        self.http = TestClient(self._app)
        self.messages, _ = stubs.load("inference")

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        response = await self.ingress(Request(scope, receive))
        await response(scope, receive, send)

    def grpc(self, context: GrpcContext, **fields: Any) -> Any:
        message = self.messages.PredictionsRequest(**fields)
        return asyncio.run(self.ingress.Predictions(message, context))

    def access_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.logs / "access.log").read_text().splitlines()]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    yield Served(tmp_path)
    logging.getLogger("headswap.access").handlers[0].close()


def test_the_answer_of_the_handler_is_passed_on(served: Served) -> None:
    response = served.http.post(
        "/predictions/m/1.0?a=b", content=b"photo", headers=TOKEN | {"X-Correlation-Id": "7"}
    )
    assert (response.status_code, response.content) == (404, b"\x89PNG")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-model-version"] == "1.0"
    assert response.headers["cache-control"] == "no-cache; no-store, must-revalidate, private"
    assert response.headers["connection"] == "close"
    ((model, version, correlation_id, parameters, headers),) = served.router.asked
    assert (model, version, correlation_id) == ("m", "1.0", "7")
    assert parameters == [Parameter("body", "", b"photo")]
    assert headers["explain"] == "False"
    assert "authorization" not in headers
    (line,) = served.access_lines()
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predictions/m/1.0?a=b", 404)


@pytest.mark.parametrize("path", ["/predictions/m", "/ping", "/nothing", "/"])
def test_without_the_token_nothing_is_read_or_said(served: Served, path: str) -> None:
    async def never() -> Any:
        raise AssertionError("the body was read")

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"authorization", b"Bearer wrong")], "client": ("10.0.0.1", 4711),
    }  # fmt: skip
    response = asyncio.run(served.ingress(Request(scope, never)))
    assert (response.status_code, response.body) == (400, REJECTED)
    assert served.router.asked == []
    assert served.access_lines()[0]["client"] == "/10.0.0.1:4711"


def test_ping_and_unknown_paths_are_torchserves(served: Served) -> None:
    assert served.http.get("/ping", headers=TOKEN).content == b'{\n  "status": "Healthy"\n}\n'
    response = served.http.get("/models", headers=TOKEN)
    assert response.status_code == 404
    assert response.content == (
        b'{\n  "code": 404,\n  "type": "ResourceNotFoundException",\n  "message": "Requested resource is not '
        b'found, please refer to API document."\n}\n'
    )


def test_a_request_above_the_limit_has_an_empty_413(served: Served) -> None:
    response = served.http.post("/predictions/m", content=bytes(LIMIT_BYTES + 1), headers=TOKEN)
    assert (response.status_code, response.content) == (413, b"")
    context = GrpcContext(("authorization", "Bearer right"))
    with pytest.raises(GrpcRejectedError):
        served.grpc(context, model_name="m", input={"data": bytes(LIMIT_BYTES)})
    assert context.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.router.asked == []


FAULTS: list[tuple[Callable[[], Exception], int, str, str, str]] = [
    (
        lambda: UnknownModelError("m"), 404, "ModelNotFoundException", "Model not found: m",
        "Model not found: m\norg.pytorch.serve.archive.model.ModelNotFoundException",
    ),
    (
        lambda: UnknownVersionError("m", "9"), 404, "ModelVersionNotFoundException",
        "Model version: 9 does not exist for model: m",
        "Model version: 9 does not exist for model: m\n"
        "org.pytorch.serve.archive.model.ModelVersionNotFoundException",
    ),
    (
        lambda: BackPressureError(num_queued_requests=1, max_queued_requests=1), 503,
        "ServiceUnavailableException",
        'Model "m" has no worker to serve inference request. Its queue is full; send the request again.',
        'Model "m" has no worker to serve inference request. Its queue is full; send the request again.\n'
        "org.pytorch.serve.http.ServiceUnavailableException",
    ),
    (lambda: ValueError("secret"), 500, "InternalServerException", "Worker died.", "Worker died."),
]  # fmt: skip


@pytest.mark.parametrize(("make", "status", "kind", "message", "details"), FAULTS)
def test_a_fault_has_torchserves_answer(
    served: Served,
    make: Callable[[], Exception],
    status: int,
    kind: str,
    message: str,
    details: str,
) -> None:
    served.router.fault = make()
    response = served.http.post("/predictions/m", content=b"x", headers=TOKEN)
    assert response.status_code == status
    assert response.json() == {"code": status, "type": kind, "message": message}
    assert response.headers.get("retry-after") == ("1" if status == 503 else None)
    context = GrpcContext(("authorization", "Bearer right"))
    with pytest.raises(GrpcRejectedError):
        served.grpc(context, model_name="m")
    assert (context.code, context.details) == (grpc.StatusCode.INTERNAL, details)
    assert served.access_lines()[-1]["status"] == grpc.StatusCode.INTERNAL.value[0]


def test_a_grpc_request_has_its_inputs_and_the_body_comes_back(served: Served) -> None:
    answer = served.grpc(
        GrpcContext(("authorization", "Bearer right")),
        model_name="m",
        model_version="2",
        input={"data": b"photo", "x-correlation-id": b"7"},
    )
    assert answer.prediction == b"\x89PNG"
    ((model, version, correlation_id, parameters, headers),) = served.router.asked
    assert (model, version, correlation_id, headers) == ("m", "2", "7", {})
    assert sorted(parameters)[0] == Parameter("data", "", b"photo")
    assert served.access_lines()[0]["client"] == "/10.0.0.1:4711"


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),)])
def test_a_grpc_request_needs_the_token(served: Served, metadata: Any) -> None:
    context = GrpcContext(*metadata)
    with pytest.raises(GrpcRejectedError):
        served.grpc(context, model_name="m")
    assert context.code == grpc.StatusCode.PERMISSION_DENIED
    assert served.router.asked == []
