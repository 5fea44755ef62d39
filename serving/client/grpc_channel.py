"""gRPC as this project speaks it: channels that give up in time, statuses as the errors of HTTP."""

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

# As config.properties has it. Beyond its own limit the server cuts the call off without saying why.
MESSAGE_LIMIT_BYTES = 20_000_000
CONNECT_TIMEOUT_MS = 5000
# After a refused connection gRPC fails every call for a second before it tries again; a server restarts faster.
RECONNECT_MS = 100
DETAIL_LIMIT = 300

STATUS_OF: dict[grpc.StatusCode, tuple[type[RequestError], int]] = {
    grpc.StatusCode.PERMISSION_DENIED: (UnauthorisedError, 403),
    grpc.StatusCode.UNAUTHENTICATED: (UnauthorisedError, 401),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (TooLargeError, 413),
    grpc.StatusCode.NOT_FOUND: (NotFoundError, 404),
}


def open_channel(endpoint: Endpoint) -> grpc.Channel:
    """Return a channel; it connects with the first call. Raises SettingsError for a useless CA file."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
        ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
        ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS),
        # gRPC would ask a proxy of the environment for this very machine too.
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
    """Return what HTTP would have raised in the place of this status."""
    status_code = error.code()
    details, code = _split(" ".join(str(error.details()).split())[:DETAIL_LIMIT])
    if status_code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(f"no answer within {timeout_s:.3g} s.", status=504)
    if details.startswith("Worker died"):
        # RESOURCE_EXHAUSTED where it was killed: nothing of the request was too large.
        return InternalServerError(details, status=500, code=code)
    if status_code in STATUS_OF:
        kind, status = STATUS_OF[status_code]
        return kind(details, status=status, code=code)
    if status_code == grpc.StatusCode.UNAVAILABLE:
        # The handler's failures come under this status too, in the words of TorchServe's worker.
        failed = InternalServerError if code == "InternalServerException" else UnreachableError
        return failed(details, status=503, code=code)
    # TorchServe says INTERNAL for all of these; only its words tell them apart.
    if code.endswith("NotFoundException"):
        return NotFoundError(details, status=404, code=code)
    if "has no worker to serve" in details:
        return OverloadedError(details, status=503, code=code)
    told = details or f"the server gave no reason ({status_code.name})"
    return request_error(
        400 if status_code == grpc.StatusCode.INVALID_ARGUMENT else 500, code, told
    )


def _split(details: str) -> tuple[str, str]:
    """Return the sentence and the name of the Java exception that TorchServe puts behind it."""
    sentence, space, last = details.rpartition(" ")
    if space and last.startswith("org.pytorch.serve."):
        return sentence, last.rpartition(".")[2]
    return details, ""
