"""The answers that TorchServe gives itself, before a handler sees the request: the same bytes over HTTP and gRPC."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import grpc

from cluster import defaults
from cluster.errors import UnknownModelError, UnknownVersionError

_HTTP = "org.pytorch.serve.http"
_MODEL = "org.pytorch.serve.archive.model"


# What gRPC's Ping says; the body of /ping ends with a line break.
HEALTHY = '{\n  "status": "Healthy"\n}'


class GrpcRejectedError(Exception):
    """Raised after the status was set: the way in which Serve ends a call with an error."""


class FrontendError(NamedTuple):
    status: int
    type: str
    """TorchServe's Java exception."""
    message: str
    grpc_status: grpc.StatusCode
    java_package: str = ""
    """Where gRPC's details end with the exception's whole name: its package."""
    headers: Mapping[str, str] = {}

    @property
    def body(self) -> bytes:
        """Return the body of HTTP, as Gson prints it."""
        content = {"code": self.status, "type": self.type, "message": self.message}
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()

    @property
    def grpc_details(self) -> str:
        return (
            f"{self.message}\n{self.java_package}.{self.type}"
            if self.java_package
            else self.message
        )


UNAUTHORISED = FrontendError(
    400,
    "InvalidKeyException",
    "Token Authorization failed. Token either incorrect, expired, or not provided correctly",
    grpc.StatusCode.PERMISSION_DENIED,
)
UNKNOWN_PATH = FrontendError(
    404,
    "ResourceNotFoundException",
    "Requested resource is not found, please refer to API document.",
    grpc.StatusCode.INTERNAL,
)
# TorchServe ends the stream without a status; this one says why, and clients know it.
TOO_LARGE = FrontendError(
    413,
    "TooLongFrameException",
    "The request is larger than the server accepts.",
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
NO_NAME = FrontendError(
    400, "BadRequestException", "Parameter model_name is required.", grpc.StatusCode.INTERNAL
)
WORKER_DIED = FrontendError(
    500, "InternalServerException", "Worker died.", grpc.StatusCode.INTERNAL
)
TIMED_OUT = FrontendError(
    500, "InternalServerException", "Worker did not respond in time.", grpc.StatusCode.INTERNAL
)


def busy(model: str) -> FrontendError:
    """Return the answer to a request for which the queue has no place."""
    return FrontendError(
        503,
        "ServiceUnavailableException",
        f'Model "{model}" has no worker to serve inference request. Its queue is full; send the request again.',
        grpc.StatusCode.INTERNAL,
        _HTTP,
        {"retry-after": str(defaults.RETRY_AFTER_S)},
    )


def unknown(error: UnknownModelError | UnknownVersionError) -> FrontendError:
    """Return the answer to a request for a model or version that is not served."""
    is_version = isinstance(error, UnknownVersionError)
    name = "ModelVersionNotFoundException" if is_version else "ModelNotFoundException"
    return FrontendError(404, name, str(error), grpc.StatusCode.INTERNAL, _MODEL)
