"""Requests over TorchServe's gRPC API."""

import grpc

from serving import stubs
from serving.client.endpoint import Endpoint
from serving.client.grpc_channel import grpc_error, metadata_of, open_channel
from serving.client.request_limit import is_over_limit, too_large
from serving.client.transport import Request, photo_names

METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"


class GrpcTransport:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._messages, _ = stubs.load("inference")
        self._channel = open_channel(endpoint)
        self._predictions = self._channel.unary_unary(
            METHOD,
            # A protobuf map is unordered; sorted by key, several photos arrive in the order they were given.
            request_serializer=lambda message: message.SerializeToString(deterministic=True),
            response_deserializer=self._messages.PredictionResponse.FromString,
        )

    def send(self, request: Request, *, timeout_s: float) -> bytes:
        """Send the request once and return the response body. Raises RequestError."""
        return self.endpoint.call_with_token(lambda token: self._call(request, token, timeout_s))

    def close(self) -> None:
        self._channel.close()

    def _call(self, request: Request, token: str | None, timeout_s: float) -> bytes:
        message = self._messages.PredictionsRequest(
            model_name=request.model,
            model_version=request.version or "",
            input=_fields(request),
        )
        if is_over_limit(message.ByteSize(), self.endpoint):
            # The server would abort it without giving the reason.
            raise too_large(message.ByteSize(), self.endpoint)
        try:
            response = self._predictions(message, timeout=timeout_s, metadata=metadata_of(token))
        except grpc.RpcError as error:
            raise grpc_error(error, timeout_s=timeout_s) from None
        body: bytes = response.prediction
        return body


def _fields(request: Request) -> dict[str, bytes]:
    fields = {name: value.encode() for name, value in request.options.items()}
    names = photo_names(len(request.photos))
    return fields | dict(zip(names, request.photos, strict=True))
