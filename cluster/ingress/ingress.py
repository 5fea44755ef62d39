"""The ingress: HTTP and gRPC in, TorchServe's own answers and the handler's out.

Serve's proxies pass every request on to it: those of HTTP to `__call__`, those of gRPC to the method of their name.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from ray.serve.exceptions import BackPressureError
from starlette.requests import Request
from starlette.responses import Response

from cluster import defaults
from cluster.errors import UnknownModelError, UnknownVersionError
from cluster.ingress import torchserve_errors
from cluster.ingress.access_log import AccessLog
from cluster.ingress.paths import Target, read_path
from cluster.ingress.requests import BodyTooLargeError, read_body, read_headers, read_parameters
from cluster.ingress.tokens import is_allowed
from cluster.ingress.torchserve_errors import FrontendError
from cluster.message import Parameter
from cluster.replica import Answer
from cluster.router import Router, open_router
from serving import stubs

logger = logging.getLogger(__name__)

GRPC_SERVICE = "org.pytorch.serve.grpc.inference.InferenceAPIsService"
CORRELATION_ID = "x-correlation-id"
# What TorchServe sends with every answer.
NO_CACHE = {
    "pragma": "no-cache",
    "cache-control": "no-cache; no-store, must-revalidate, private",
    "expires": "Thu, 01 Jan 1970 00:00:00 UTC",
}


class Ingress:
    """The Serve deployment that all requests pass; `cluster/application.py` sets its numbers."""

    def __init__(
        self, *, token_hashes: Sequence[str], request_limit_bytes: int, logs: str | None
    ) -> None:
        self._token_hashes = tuple(token_hashes)
        self._request_limit_bytes = request_limit_bytes
        self._access_log = AccessLog(logs)
        self._messages, _ = stubs.load("inference")
        self._opening = asyncio.Lock()
        self._router: Router | None = None

    async def __call__(self, request: Request) -> Response:
        """Return the response to a request of HTTP."""
        started_s = time.monotonic()
        response = await self._respond_to_http(request)
        query = request.scope["query_string"]
        path = request.scope["raw_path"] + (b"?" + query if query else b"")
        host, port = request.client or ("", 0)
        self._access_log.write(
            client=f"/{host}:{port}",
            method=request.method,
            path=path.decode("latin-1"),
            status=response.status_code,
            started_s=started_s,
        )
        return response

    async def Predictions(self, message: Any, grpc_context: Any) -> Any:  # noqa: N802
        """Return the response to a request of gRPC."""
        return await self._respond_to_grpc("Predictions", message, grpc_context)

    async def StreamPredictions(self, message: Any, grpc_context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Yield the same response, as a stream of one."""
        yield await self._respond_to_grpc("StreamPredictions", message, grpc_context)

    async def Ping(self, _: Any, grpc_context: Any) -> Any:  # noqa: N802
        """Return that the server is healthy, as TorchServe does."""
        started_s = time.monotonic()
        if not self._is_allowed_by_grpc(grpc_context):
            self._fail("Ping", torchserve_errors.UNAUTHORISED, grpc_context, started_s)
        self._log_grpc("Ping", grpc_context, grpc.StatusCode.OK, started_s)
        return self._messages.TorchServeHealthResponse(health=torchserve_errors.HEALTHY)

    async def _respond_to_http(self, request: Request) -> Response:
        # Before anything of the body is read.
        if not is_allowed(request.headers.get("authorization"), self._token_hashes):
            return _frontend_response(torchserve_errors.UNAUTHORISED)
        raw_path = request.scope["raw_path"].decode("latin-1")
        if raw_path == "/ping":
            healthy = f"{torchserve_errors.HEALTHY}\n".encode()
            return _response(200, healthy, "application/json", {})
        target = read_path(raw_path)
        if target is None:
            return _frontend_response(torchserve_errors.UNKNOWN_PATH)
        try:
            body = await read_body(request, self._request_limit_bytes)
        except BodyTooLargeError:
            # Like TorchServe's, without a body and the end of the connection.
            return Response(status_code=413, headers={"connection": "close"})
        return await self._predict(request, target, body)

    async def _predict(self, request: Request, target: Target, body: bytes) -> Response:
        content_type = request.headers.get("content-type", "")
        headers = read_headers(request.headers.raw)
        parameters = read_parameters(body, content_type)
        answer = await self._classify(
            target.model,
            target.version,
            headers.get(CORRELATION_ID),
            parameters,
            {**headers, **target.headers},
        )
        if isinstance(answer, FrontendError):
            return _frontend_response(answer)
        return _response(answer.status, answer.body, answer.content_type, answer.headers)

    async def _respond_to_grpc(self, method: str, message: Any, grpc_context: Any) -> Any:
        started_s = time.monotonic()
        answer = await self._answer_grpc(message, grpc_context)
        if isinstance(answer, FrontendError):
            self._fail(method, answer, grpc_context, started_s)
        self._log_grpc(method, grpc_context, grpc.StatusCode.OK, started_s)
        return self._messages.PredictionResponse(prediction=answer.body)

    async def _answer_grpc(self, message: Any, grpc_context: Any) -> Answer | FrontendError:
        if not self._is_allowed_by_grpc(grpc_context):
            return torchserve_errors.UNAUTHORISED
        if message.ByteSize() > self._request_limit_bytes:
            return torchserve_errors.TOO_LARGE
        if not message.model_name:
            return torchserve_errors.NO_NAME
        parameters = [Parameter(name, "", value) for name, value in message.input.items()]
        # The client's id is an input, because TorchServe drops the metadata.
        ids = (p.value for p in parameters if p.name.lower() == CORRELATION_ID)
        correlation_id = next(ids, b"").decode("utf-8", "replace") or None
        return await self._classify(
            message.model_name, message.model_version or None, correlation_id, parameters, {}
        )

    async def _classify(
        self,
        model: str,
        version: str | None,
        correlation_id: str | None,
        parameters: list[Parameter],
        headers: dict[str, str],
    ) -> Answer | FrontendError:
        router = self._router or await self._open_router()
        try:
            async with asyncio.timeout(defaults.REQUEST_TIMEOUT_S):
                return await router.respond(model, version, correlation_id, parameters, headers)
        except (UnknownModelError, UnknownVersionError) as error:
            return torchserve_errors.unknown(error)
        except BackPressureError:
            return torchserve_errors.busy(model)
        except TimeoutError:
            return torchserve_errors.TIMED_OUT
        except Exception:
            logger.exception("Unexpected failure while %s was answering.", model)
            return torchserve_errors.WORKER_DIED

    async def _open_router(self) -> Router:
        # In the event loop that requests run in, which the constructor does not have.
        async with self._opening:
            if self._router is None:
                self._router = await open_router()
        return self._router

    def _is_allowed_by_grpc(self, grpc_context: Any) -> bool:
        metadata = dict(grpc_context.invocation_metadata())
        return is_allowed(metadata.get("authorization"), self._token_hashes)

    def _fail(self, method: str, error: FrontendError, grpc_context: Any, started_s: float) -> None:
        """Log the error, and raise it in the form in which Serve gives a status and its details to the client."""
        self._log_grpc(method, grpc_context, error.grpc_status, started_s)
        grpc_context.set_code(error.grpc_status)
        grpc_context.set_details(error.grpc_details)
        raise torchserve_errors.GrpcRejectedError(error.message)

    def _log_grpc(
        self, method: str, grpc_context: Any, status: grpc.StatusCode, started_s: float
    ) -> None:
        self._access_log.write(
            client=f"/{grpc_context.peer().removeprefix('ipv4:')}",
            method="gRPC",
            path=f"{GRPC_SERVICE}/{method}",
            status=status.value[0],
            started_s=started_s,
        )


def _frontend_response(error: FrontendError) -> Response:
    return _response(error.status, error.body, "application/json", dict(error.headers))


def _response(status: int, body: bytes, content_type: str, headers: dict[str, str]) -> Response:
    """Return the response with TorchServe's headers; like there, an error ends the connection."""
    ends = {"connection": "close"} if status >= 400 else {}
    response = Response(body, status_code=status, headers={**headers, **NO_CACHE, **ends})
    # Set here, because Starlette would add a charset to text.
    response.headers["content-type"] = content_type
    return response
