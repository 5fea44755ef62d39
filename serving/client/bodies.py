"""The answer's JSON, the same over both transports, to results or errors."""

import json
from http import HTTPStatus
from typing import Any

from serving.client.results import ClassScore, Explanation, Outcome, Prediction
from serving.errors import InternalServerError, RequestError, request_error

MESSAGE_LIMIT = 300
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def read_prediction(body: bytes) -> Prediction:
    """Return the answer for one photo. Raises RequestError for an error in the body: gRPC brings it nowhere else."""
    answer = _read(body)
    try:
        return _prediction(answer["model"], answer["predictions"])
    except (KeyError, TypeError):
        raise _nonsense(body) from None


def read_outcomes(body: bytes, *, count: int) -> list[Outcome]:
    """Return the outcomes of `count` photos in the order sent. Raises RequestError where the answer is one error."""
    answer = _read(body)
    try:
        outcomes = [_outcome(answer["model"], result) for result in answer["results"]]
    except (KeyError, TypeError, AttributeError):
        raise _nonsense(body) from None
    if len(outcomes) != count:
        raise InternalServerError(
            f"{len(outcomes)} outcomes came back for {count} photos.", status=500
        )
    return outcomes


def read_explanation(body: bytes) -> Explanation:
    """Return the heat map. Raises RequestError."""
    answer = _read(body)
    try:
        told = dict(answer["explanation"])
        rows = tuple(tuple(float(value) for value in row) for row in told.pop("heat_map"))
        model = answer["model"]
        return Explanation(model=model["name"], version=model["version"], heat_map=rows, **told)
    except (KeyError, TypeError, ValueError):
        raise _nonsense(body) from None


def read_picture(body: bytes) -> bytes:
    """Return the PNG. Raises RequestError for an error that came in its place."""
    if not body.startswith(PNG_MAGIC):
        _read(body)
        raise _nonsense(body)
    return body


def error_in(body: bytes, *, status: int) -> RequestError:
    """Return the error of an answer whose status is one: the handler's own, or TorchServe's `{code, type, message}`."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return request_error(status, "", shorten(body.decode(errors="replace")) or _phrase(status))
    if isinstance(told.get("error"), dict):
        return _error(told["error"])
    # Most of TorchServe's say `message`, a few `status`.
    message = told.get("message") or told.get("status") or told
    return request_error(status, str(told.get("type", "")), shorten(message))


def shorten(told: object) -> str:
    return " ".join(str(told).split())[:MESSAGE_LIMIT]


def _read(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _nonsense(body)
    if isinstance(answer.get("error"), dict):
        raise _error(answer["error"])
    return answer


def _phrase(status: int) -> str:
    try:
        return f"the server answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"the server answered {status}"


def _outcome(model: Any, result: Any) -> Outcome:
    error = result.get("error")
    return _prediction(model, result["predictions"]) if error is None else _error(error)


def _prediction(model: Any, guesses: Any) -> Prediction:
    return Prediction(
        model=model["name"],
        version=model["version"],
        guesses=tuple(ClassScore(**guess) for guess in guesses),
    )


def _error(told: dict[str, Any]) -> RequestError:
    status = told.get("status")
    return request_error(
        status if isinstance(status, int) else 500,
        str(told.get("code", "")),
        shorten(told.get("message", told)),
    )


def _nonsense(body: bytes) -> RequestError:
    return InternalServerError(
        f"the answer is none of headswap's: {shorten(body.decode(errors='replace')) or 'it is empty'}",
        status=500,
    )
