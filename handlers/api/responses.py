"""Responses: the JSON described in docs/architecture.md, its status, and safe headers."""

import json
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np

from handlers.answer import Answer, ImageResult
from handlers.api.inputs import Transport
from handlers.api.open_inference import LENGTH_HEADER, TensorRequest
from handlers.api.options import ID_NAMES, MAX_ID_LENGTH
from handlers.api.tensors import Tensor, metadata_tensors, write_tensors
from handlers.errors import RequestRejectedError
from handlers.model_card import ModelCard

JSON_TYPE = "application/json"

# Made once: json.dumps makes a new one for each call with other than its defaults.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

_NOTHING = np.zeros(0, np.float32)

# A header value that is not a string, or that holds a line break, kills TorchServe's worker.
_SAFE_HEADER = re.compile(rf"[\x20-\x7e]{{1,{MAX_ID_LENGTH}}}")


@dataclass(frozen=True, kw_only=True)
class Response:
    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def phrase(self) -> str:
        """The reason phrase of HTTP."""
        return HTTPStatus(self.status).phrase


class ResponseWriter:
    """Writes the responses of one model."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._model = {"name": card.name, "version": card.version}

    def single(self, result: ImageResult, *, top_k: int) -> Response:
        """Return the response to a request with a single image; its status is that of the image."""
        content = {"model": self._model} | self.describe(result, top_k=top_k)
        return self._respond(_status_of(result), content)

    def several(
        self,
        results: list[ImageResult],
        *,
        names: Sequence[str],
        top_k: int,
        key: str = "results",
    ) -> Response:
        """Return the response to several images: status 200, because each has a named result of its own."""
        entries = [
            {"name": name} | self.describe(result, top_k=top_k)
            for name, result in zip(names, results, strict=True)
        ]
        return self._respond(HTTPStatus.OK, {"model": self._model, key: entries})

    def rejection(self, error: RequestRejectedError) -> Response:
        """Return the response to a request that was rejected as a whole."""
        return self._respond(error.status, {"model": self._model, "error": _describe_error(error)})

    def explanation(self, explanation: dict[str, Any]) -> Response:
        return self._respond(HTTPStatus.OK, {"model": self._model, "explanation": explanation})

    def png(self, png: bytes) -> Response:
        return Response(
            status=int(HTTPStatus.OK), body=png, content_type="image/png", headers=self._headers()
        )

    def open_inference(
        self, results: list[ImageResult], *, top_k: int, request: TensorRequest
    ) -> Response:
        """Return the Open Inference Protocol's shape: one row per image, one column per class.

        A rejected image has empty labels, index -1, probability 0, and its code in the output `error`.
        """
        columns = min(top_k, self._card.class_count)
        rows = [self._open_inference_row(result, columns) for result in results]
        codes = [r.code if isinstance(r, RequestRejectedError) else "" for r in results]
        shape = [len(results), columns]
        tensors = [
            Tensor("label", "BYTES", shape, _flatten(rows, "label")),
            Tensor("index", "INT64", shape, _flatten(rows, "index")),
            Tensor("probability", "FP32", shape, _flatten(rows, "probability")),
            Tensor("error", "BYTES", [len(results)], codes),
        ]
        tensors += _outcome_tensors(results, named=request.named_outputs)
        outputs, data = write_tensors(tensors, request.is_binary_output)
        content: dict[str, Any] = {
            "model_name": self._card.name,
            "model_version": self._card.version,
            "outputs": outputs,
        }
        if request.request_id is not None:
            content["id"] = request.request_id
        response = self._respond(HTTPStatus.OK, content)
        if not any(request.is_binary_output.values()):
            return response
        return Response(
            status=response.status,
            body=response.body + data,
            content_type="application/octet-stream",
            headers=response.headers | {LENGTH_HEADER: str(len(response.body))},
        )

    def open_inference_model(
        self, query: str, *, has_outcome: bool, has_unknown_score: bool
    ) -> Response:
        """Return that the model is ready, or its metadata, as the Open Inference Protocol has them.

        `has_outcome` and `has_unknown_score` say whether its answers here have these outputs.
        """
        content: dict[str, Any] = {"name": self._card.name}
        if query == "ready":
            return self._respond(HTTPStatus.OK, content | {"ready": True})
        return self._respond(
            HTTPStatus.OK,
            content
            | {"versions": [self._card.version], "platform": "headswap"}
            | metadata_tensors(has_outcome=has_outcome, has_unknown_score=has_unknown_score),
        )

    def open_inference_rejection(self, error: RequestRejectedError) -> Response:
        """Return the protocol's error, which is a text, with our own fields next to it."""
        described = _describe_error(error)
        content = {"error": described.pop("message"), "model": self._model} | described
        return self._respond(error.status, content)

    def describe(self, result: ImageResult, *, top_k: int) -> dict[str, Any]:
        """Return `{"predictions": [...]}`, highest probability first, or `{"error": {...}}`."""
        if isinstance(result, RequestRejectedError):
            return {"error": _describe_error(result)}
        described: dict[str, Any] = {"predictions": self._top_classes(result.probabilities, top_k)}
        if result.outcome is not None:
            described["outcome"] = result.outcome
        if result.unknown_score is not None:
            described["unknown_score"] = round(result.unknown_score, 4)
        return described

    def _top_classes(self, probabilities: np.ndarray, count: int) -> list[dict[str, Any]]:
        indices = np.argsort(-probabilities, kind="stable")[:count]
        return [
            {
                "label": self._card.class_names[index],
                "index": int(index),
                # Six decimals: a hundredth of the difference between two engines, half the bytes of a double.
                "probability": round(float(probabilities[index]), 6),
            }
            for index in indices
        ]

    def _open_inference_row(self, result: ImageResult, count: int) -> list[dict[str, Any]]:
        if isinstance(result, RequestRejectedError):
            return [{"label": "", "index": -1, "probability": 0.0}] * count
        return self._top_classes(result.probabilities, count)

    def _respond(self, status: int, content: dict[str, Any]) -> Response:
        return Response(status=int(status), body=to_json(content), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        version = self._card.version
        return {"X-Model-Version": version} if _SAFE_HEADER.fullmatch(version) else {}


def echo_headers(request_headers: Mapping[str, str]) -> dict[str, str]:
    """Return the request headers that the response repeats, by lower-case name."""
    echoed = {name: request_headers.get(name, "") for name in ID_NAMES}
    return {name: value for name, value in echoed.items() if _SAFE_HEADER.fullmatch(value)}


def transport_headers(transport: Transport) -> dict[str, str]:
    """Return the headers that TorchServe itself reads.

    Its `StreamPredictions` of gRPC kills the worker if the response does not say whether it is the last of the stream.
    Over HTTP the same header would turn a response into a chunked one.
    """
    return {"ts_stream_next": "false"} if transport == "grpc" else {}


def to_json(content: dict[str, Any]) -> bytes:
    """Return compact UTF-8 JSON.

    A lone surrogate, which a JSON request can hold and a message can quote, becomes a query mark.
    """
    return _JSON.encode(content).encode("utf-8", errors="replace")


def _describe_error(error: RequestRejectedError) -> dict[str, Any]:
    return {"status": error.status, "code": error.code, "message": str(error)}


def _status_of(result: ImageResult) -> int:
    return result.status if isinstance(result, RequestRejectedError) else HTTPStatus.OK


def _outcome_tensors(results: Sequence[ImageResult], *, named: Container[str]) -> list[Tensor]:
    """Return the outputs of the outcome, of those that are named or that the answers have.

    A rejected image has an empty outcome and a score of 0.
    """
    answers = [result if isinstance(result, Answer) else Answer(_NOTHING) for result in results]
    tensors = []
    if "outcome" in named or any(answer.outcome is not None for answer in answers):
        outcomes = [answer.outcome or "" for answer in answers]
        tensors.append(Tensor("outcome", "BYTES", [len(answers)], outcomes))
    has_score = any(answer.unknown_score is not None for answer in answers)
    if "unknown_score" in named or has_score:
        scores = [round(answer.unknown_score or 0.0, 4) for answer in answers]
        tensors.append(Tensor("unknown_score", "FP32", [len(answers)], scores))
    return tensors


def _flatten(rows: list[list[dict[str, Any]]], key: str) -> list[Any]:
    return [entry[key] for row in rows for entry in row]
