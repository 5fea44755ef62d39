"""Response bodies, the same JSON over both transports, parsed into results or errors."""

import json
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from serving.client.results import ClassScore, Explanation, Outcome, Prediction
from serving.client.transport import photo_names
from serving.errors import InternalServerError, RequestError, request_error

MESSAGE_LIMIT = 300
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def parse_prediction(body: bytes) -> Prediction:
    """Return the prediction for one photo. Raises RequestError for an error in the body, the only place gRPC has."""
    content = _parse(body)
    try:
        return _prediction(content["model"], content)
    except (KeyError, TypeError):
        raise _unexpected(body) from None


def parse_outcomes(body: bytes, *, names: Sequence[str]) -> list[Outcome]:
    """Return the outcomes of several photos in the order sent; each gets its own of the `names`.

    Raises:
        RequestError: the request as a whole failed, or the response does not have one result for each photo.
    """
    content = _parse(body)
    sent = photo_names(len(names))
    try:
        entries = list(content["results"])
        # Archives of earlier versions name no inputs and answer in the order sent.
        results = {entry.get("name", name): entry for entry, name in zip(entries, sent)}  # noqa: B905
        outcomes = [_outcome(content["model"], results[name]) for name in sent[: len(entries)]]
    except (KeyError, TypeError, AttributeError):
        raise _unexpected(body) from None
    if len(entries) != len(names):
        raise InternalServerError(
            f"the server answered {len(names)} photos with {len(entries)} results.", status=500
        )
    return [_with_name(outcome, name) for outcome, name in zip(outcomes, names, strict=True)]


def parse_explanation(body: bytes) -> Explanation:
    """Return the heat map. Raises RequestError."""
    content = _parse(body)
    try:
        fields = dict(content["explanation"])
        rows = tuple(tuple(float(value) for value in row) for row in fields.pop("heat_map"))
        model = content["model"]
        return Explanation(model=model["name"], version=model["version"], heat_map=rows, **fields)
    except (KeyError, TypeError, ValueError):
        raise _unexpected(body) from None


def parse_png(body: bytes) -> bytes:
    """Return the PNG. Raises RequestError for an error that came in its place."""
    if not body.startswith(PNG_MAGIC):
        _parse(body)
        raise _unexpected(body)
    return body


def parse_error(body: bytes, *, status: int) -> RequestError:
    """Return the error of a response with an error status: the handler's, or TorchServe's `{code, type, message}`."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        text = shorten(body.decode(errors="replace"))
        return request_error(status, "", text or _phrase(status))
    if isinstance(content.get("error"), dict):
        return _error(content["error"])
    # Most of TorchServe's errors have a `message`, a few a `status`.
    message = content.get("message") or content.get("status") or content
    return request_error(status, str(content.get("type", "")), shorten(message))


def shorten(message: object) -> str:
    """Return the message on one line, at most 300 characters long."""
    return " ".join(str(message).split())[:MESSAGE_LIMIT]


def _parse(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise _unexpected(body)
    if isinstance(content.get("error"), dict):
        raise _error(content["error"])
    return content


def _phrase(status: int) -> str:
    try:
        return f"the server answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"the server answered {status}"


def _outcome(model: Any, result: Any) -> Outcome:
    error = result.get("error")
    return _prediction(model, result) if error is None else _error(error)


def _with_name(outcome: Outcome, name: str) -> Outcome:
    if isinstance(outcome, Prediction):
        return replace(outcome, name=name)
    outcome.name = name
    return outcome


def _prediction(model: Any, result: Any) -> Prediction:
    return Prediction(
        model=model["name"],
        version=model["version"],
        scores=tuple(ClassScore(**score) for score in result["predictions"]),
        outcome=result.get("outcome"),
        unknown_score=result.get("unknown_score"),
    )


def _error(fields: dict[str, Any]) -> RequestError:
    status = fields.get("status")
    return request_error(
        status if isinstance(status, int) else 500,
        str(fields.get("code", "")),
        shorten(fields.get("message", fields)),
    )


def _unexpected(body: bytes) -> RequestError:
    start = shorten(body.decode(errors="replace")) or "an empty body"
    return InternalServerError(f"the response is not from a headswap handler: {start}", status=500)
