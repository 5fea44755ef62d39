"""gRPC channels with timeouts, and gRPC statuses as the errors that HTTP would raise."""

from typing import Any

import grpc

from serving.client.endpoint import Endpoint
from serving.errors import (
    DeadlineError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    RequestError,
    TooLargeError,
    UnauthorisedError,
    UnreachableError,
    request_error,
)

# Of a response; the same as max_response_size in config.properties.
MESSAGE_LIMIT_BYTES = 20_000_000
CONNECT_TIMEOUT_MS = 5000
# By default gRPC fails every call for a second after a refused connection; a server restarts faster.
RECONNECT_MS = 100
DETAIL_LIMIT = 300

STATUS_OF: dict[grpc.StatusCode, tuple[type[RequestError], int]] = {
    grpc.StatusCode.PERMISSION_DENIED: (UnauthorisedError, 403),
    grpc.StatusCode.UNAUTHENTICATED: (UnauthorisedError, 401),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (TooLargeError, 413),
    grpc.StatusCode.NOT_FOUND: (NotFoundError, 404),
}


def open_channel(endpoint: Endpoint) -> grpc.Channel:
    """Return a channel, which connects on the first call. Raises SettingsError for an unreadable CA file."""
    options: list[tuple[str, Any]] = [
        # request_limit.py checks it, with the server's own limit where that is known.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
        ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS),
        # gRPC would use the environment's proxy for this machine too.
        ("grpc.enable_http_proxy", int(not endpoint.is_local)),
    ]
    if not endpoint.is_tls:
        return grpc.insecure_channel(endpoint.target, options=options)
    tls = endpoint.tls
    if tls is not None and tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    credentials = grpc.ssl_channel_credentials(tls.read_ca() if tls is not None else None)
    return grpc.secure_channel(endpoint.target, credentials, options=options)


def metadata_of(token: str | None) -> list[tuple[str, str]]:
    return [] if token is None else [("authorization", f"Bearer {token}")]


def grpc_error(error: grpc.RpcError, *, timeout_s: float) -> RequestError:
    """Return the error that HTTP would raise for this status."""
    status_code = error.code()
    details, code = _split(" ".join(str(error.details()).split())[:DETAIL_LIMIT])
    if status_code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(f"no answer within {timeout_s:.3g} s.", status=504)
    if details.startswith("Worker died"):
        # TorchServe says RESOURCE_EXHAUSTED if it was killed, but the request was not too large.
        return InternalServerError(details, status=500, code=code)
    if status_code in STATUS_OF:
        kind, status = STATUS_OF[status_code]
        return kind(details, status=status, code=code)
    if status_code == grpc.StatusCode.UNAVAILABLE:
        # A handler that raises has this status too; the Java exception tells it apart.
        kind = InternalServerError if code == "InternalServerException" else UnreachableError
        return kind(details, status=503, code=code)
    # TorchServe answers INTERNAL for all of these; only the exception and the message tell them apart.
    if code.endswith("NotFoundException"):
        return NotFoundError(details, status=404, code=code)
    if "has no worker to serve" in details:
        return OverloadedError(details, status=503, code=code)
    message = details or f"the server gave no reason ({status_code.name})"
    status = 400 if status_code == grpc.StatusCode.INVALID_ARGUMENT else 500
    return request_error(status, code, message)


def _split(details: str) -> tuple[str, str]:
    """Return the message and the name of the Java exception that TorchServe appends to it."""
    message, space, last = details.rpartition(" ")
    if space and last.startswith("org.pytorch.serve."):
        return message, last.rpartition(".")[2]
    return details, ""
