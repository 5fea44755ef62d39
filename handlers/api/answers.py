"""Answers: the JSON envelope of docs/architecture.md, its status, and safe headers."""

import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np

from handlers.api.options import ID_NAMES, LONGEST_ID
from handlers.errors import InternalError, RequestRejectedError
from handlers.model_card import ModelCard

JSON_TYPE = "application/json"

# One image's outcome: its probabilities, or why it has none.
Outcome = np.ndarray | RequestRejectedError

# Made once: json.dumps makes one for each call that is not by its defaults.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

# TorchServe's worker dies of a header value that is no string or holds a line break.
_SAFE_HEADER = re.compile(rf"[\x20-\x7e]{{1,{LONGEST_ID}}}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def phrase(self) -> str:
        return HTTPStatus(self.status).phrase


class AnswerWriter:
    """Writes the answers of one model."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._model = {"name": card.name, "version": card.version}

    def one(self, outcome: Outcome, *, top_k: int) -> Answer:
        """Return the answer to a request of a single image."""
        result = self.result(outcome, top_k=top_k)
        return self._answer(_status_of(outcome), {"model": self._model} | result)

    def several(self, outcomes: list[Outcome], *, top_k: int, key: str = "results") -> Answer:
        """Return the answer to a list: 200, for each image has an outcome of its own."""
        results = [self.result(outcome, top_k=top_k) for outcome in outcomes]
        return self._answer(HTTPStatus.OK, {"model": self._model, key: results})

    def refused(self, error: RequestRejectedError) -> Answer:
        """Return the answer to a request that has no outcome for any image."""
        return self._answer(error.status, {"model": self._model, "error": describe_error(error)})

    def explained(self, explanation: dict[str, Any]) -> Answer:
        return self._answer(HTTPStatus.OK, {"model": self._model, "explanation": explanation})

    def picture(self, png: bytes) -> Answer:
        return Answer(
            status=int(HTTPStatus.OK), body=png, content_type="image/png", headers=self._headers()
        )

    def open_inference(
        self, outcomes: list[Outcome], *, top_k: int, request_id: str | None
    ) -> Answer:
        """Return the Open Inference Protocol's shape: one row an image, one column a class.

        A refused image has empty labels, index -1, probability 0 and its code in the output
        `error`.
        """
        columns = min(top_k, self._card.class_count)
        rows = [self._columns(outcome, columns) for outcome in outcomes]
        codes = [o.code if isinstance(o, RequestRejectedError) else "" for o in outcomes]
        shape = [len(outcomes), columns]
        body: dict[str, Any] = {
            "model_name": self._card.name,
            "model_version": self._card.version,
            "outputs": [
                _output("label", "BYTES", shape, _flat(rows, "label")),
                _output("index", "INT64", shape, _flat(rows, "index")),
                _output(
                    "probability", "FP32", shape, [p["probability"] for row in rows for p in row]
                ),
                _output("error", "BYTES", [len(outcomes)], codes),
            ],
        }
        if request_id is not None:
            body["id"] = request_id
        return self._answer(HTTPStatus.OK, body)

    def open_inference_refused(self, error: RequestRejectedError) -> Answer:
        """Return the protocol's error, a sentence; our own fields stand beside it."""
        described = describe_error(error)
        body = {"error": described.pop("message"), "model": self._model} | described
        return self._answer(error.status, body)

    def result(self, outcome: Outcome, *, top_k: int) -> dict[str, Any]:
        """Return `{"predictions": [...]}`, the likeliest first, or `{"error": {...}}`."""
        if isinstance(outcome, RequestRejectedError):
            return {"error": describe_error(outcome)}
        best = np.argsort(-outcome, kind="stable")[:top_k]
        return {"predictions": [self._prediction(outcome, int(index)) for index in best]}

    def _prediction(self, row: np.ndarray, index: int) -> dict[str, Any]:
        # Six decimals: a hundredth of what two engines differ by, half the bytes of a double.
        probability = round(float(row[index]), 6)
        return {
            "label": self._card.class_names[index],
            "index": index,
            "probability": probability,
        }

    def _columns(self, outcome: Outcome, count: int) -> list[dict[str, Any]]:
        if isinstance(outcome, RequestRejectedError):
            return [{"label": "", "index": -1, "probability": 0.0}] * count
        predictions: list[dict[str, Any]] = self.result(outcome, top_k=count)["predictions"]
        return predictions

    def _answer(self, status: int, content: dict[str, Any]) -> Answer:
        return Answer(status=int(status), body=to_json(content), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        version = self._card.version
        return {"X-Model-Version": version} if _SAFE_HEADER.fullmatch(version) else {}


def describe_error(error: RequestRejectedError) -> dict[str, Any]:
    """Return the error's status, code and message as the envelope holds them."""
    return {"status": error.status, "code": error.code, "message": str(error)}


def check_row(row: np.ndarray) -> Outcome:
    """Return the row, or an InternalError where it is no probability distribution JSON can hold."""
    if np.isfinite(row).all():
        return row
    return InternalError("the network gave no finite probabilities for this image.")


def echo_headers(request_headers: dict[str, str]) -> dict[str, str]:
    """Return those of the request's headers that go back to the caller, by lower-case name."""
    echoed = {name: request_headers.get(name, "") for name in ID_NAMES}
    return {name: value for name, value in echoed.items() if _SAFE_HEADER.fullmatch(value)}


def to_json(content: dict[str, Any]) -> bytes:
    """Return compact UTF-8 JSON.

    A lone surrogate, which JSON requests can carry and messages can quote, becomes a question mark.
    """
    return _JSON.encode(content).encode("utf-8", errors="replace")


def _status_of(outcome: Outcome) -> int:
    return outcome.status if isinstance(outcome, RequestRejectedError) else HTTPStatus.OK


def _output(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def _flat(rows: list[list[dict[str, Any]]], key: str) -> list[Any]:
    return [prediction[key] for row in rows for prediction in row]
