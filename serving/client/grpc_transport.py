"""Questions over TorchServe's gRPC API."""

import grpc

from serving import stubs
from serving.client.endpoint import Endpoint
from serving.client.grpc_channel import grpc_error, metadata_of, open_channel
from serving.client.transport import Request

METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"


class GrpcTransport:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._messages, _ = stubs.load("inference")
        self._channel = open_channel(endpoint)
        self._predictions = self._channel.unary_unary(
            METHOD,
            # A map has no order of its own; sorted by key, several photos are read in the order they were given.
            request_serializer=lambda request: request.SerializeToString(deterministic=True),
            response_deserializer=self._messages.PredictionResponse.FromString,
        )

    def ask(self, question: Request, *, timeout_s: float) -> bytes:
        """Return the body of the answer to one try. Raises RequestError."""
        return self.endpoint.authorised(lambda token: self._call(question, token, timeout_s))

    def close(self) -> None:
        self._channel.close()

    def _call(self, question: Request, token: str | None, timeout_s: float) -> bytes:
        request = self._messages.PredictionsRequest(
            model_name=question.model,
            model_version=question.version or "",
            input=_fields(question),
        )
        try:
            answer = self._predictions(request, timeout=timeout_s, metadata=metadata_of(token))
        except grpc.RpcError as error:
            raise grpc_error(error, timeout_s=timeout_s) from None
        body: bytes = answer.prediction
        return body


def _fields(question: Request) -> dict[str, bytes]:
    fields = {name: value.encode() for name, value in question.options.items()}
    return fields | {f"{number:06}": photo for number, photo in enumerate(question.photos)}
