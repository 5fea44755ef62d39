"""The schemas of the OpenAPI description: requests, answers, errors and options."""

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

VERSION: Schema = {"type": "string", "pattern": "^[0-9][0-9A-Za-z._+]{0,63}$", "examples": ["1.0"]}
EXPLAINED_CLASS: Schema = {"type": "string", "pattern": "^[!-~]{1,100}$"}
_TOP_K: Schema = {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 5}
_DEADLINE: Schema = {"type": "integer", "minimum": 1, "maximum": 9_999_999_999_999}
_SWITCH: Schema = {"type": "string", "enum": ["on", "off", "true", "false"], "default": "on"}
_ID: Schema = {"type": "string", "pattern": "^[!-~]{1,256}$"}
OPTIONS: tuple[tuple[str, Schema, str], ...] = (
    ("X-Top-K", _TOP_K, "How many classes to answer; more than there are gives all."),
    (
        "X-Request-Deadline-Ms",
        _DEADLINE,
        "The latest useful moment: milliseconds from now, or from 10^11 on a Unix time in milliseconds.",
    ),
    ("X-Unknown", _SWITCH, "off: answer without outcome and unknown_score."),
    ("X-Correlation-Id", _ID, "Your own id of the request, returned and logged."),
)


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def model_name(models: Sequence[str]) -> Schema:
    """Return the schema of a model's name: one of these, where they are known."""
    return (
        {"type": "string", "enum": list(models)} if models else {"type": "string", "minLength": 1}
    )


def _object(required: Sequence[str], **properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


_BYTES: Schema = {
    "type": "string",
    "format": "binary",
    "description": "One image: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.",
}
_TEXT: Schema = {"type": "string"}
_BASE64: Schema = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"}
_MODEL = _object(("name", "version"), name=_TEXT, version=_TEXT)
_SCORE = _object(
    ("label", "index", "probability"),
    label=_TEXT,
    index={"type": "integer", "minimum": 0},
    probability={"type": "number", "minimum": 0, "maximum": 1},
)
_OUTCOME: Schema = {
    "type": "string",
    "enum": ["known", "unknown", "uncertain"],
    "description": "unknown: like none of the classes; uncertain: no class reaches handler.min_probability. Absent "
    "where the archive has no unknown score and the host sets no min_probability.",
}
_UNKNOWN_SCORE: Schema = {
    "type": "number",
    "description": "0 for a typical photo of the classes, above 1 for an unknown one.",
}
_JUDGED = {"outcome": _OUTCOME, "unknown_score": _UNKNOWN_SCORE}
_PREDICTIONS: Schema = {"type": "array", "items": ref("Score")}
_FAULT = _object(("status", "code", "message"), status={"type": "integer"}, code=_TEXT, message=_TEXT)  # fmt: skip
_COUNT: Schema = {"type": "integer", "minimum": 1}
_PARAMETERS = _object((), top_k=_COUNT, deadline_ms=_COUNT, unknown=_SWITCH)

ONE_IMAGE_BODIES: dict[str, Schema] = {
    "application/octet-stream": _BYTES,
    "application/json": ref("Image"),
}
IMAGE_BODIES: dict[str, Schema] = {
    "application/octet-stream": _BYTES,
    "multipart/form-data": {
        "type": "object",
        "description": "A file per image, each under a name of its own.",
        "properties": {"image": _BYTES},
        "required": ["image"],
        # TorchServe answers 500 where a field has an empty name, before the handler sees the request.
        "propertyNames": {"pattern": "^[A-Za-z0-9_.-]{1,100}$"},
        "additionalProperties": _BYTES,
    },
    "application/json": {"oneOf": [ref("Image"), ref("KServeRequest")]},
}

COMPONENTS: dict[str, Schema] = {
    "Image": _object(("b64",), b64=_BASE64),
    "KServeRequest": _object(
        ("instances",),
        instances={"type": "array", "minItems": 1, "items": ref("Image")},
        parameters=_PARAMETERS,
    ),
    "InferRequest": _object(
        ("inputs",),
        id=_TEXT,
        inputs={"type": "array", "minItems": 1, "items": ref("InputTensor")},
        parameters=_PARAMETERS,
    ),
    "InputTensor": _object(
        ("name", "shape", "datatype", "data"),
        name=_TEXT,
        shape={"type": "array", "items": {"type": "integer", "minimum": 0}},
        datatype={"const": "BYTES"},
        data={"type": "array", "items": _BASE64},
    ),
    "Score": _SCORE,
    "Answer": {"oneOf": [ref("OneAnswer"), ref("SeveralAnswers")]},
    "OneAnswer": _object(("model", "predictions"), model=_MODEL, predictions=_PREDICTIONS, **_JUDGED),
    "SeveralAnswers": _object(
        ("model", "results"), model=_MODEL, results={"type": "array", "items": ref("Result")}
    ),
    "Result": {
        "oneOf": [
            _object(("name", "predictions"), name=_TEXT, predictions=_PREDICTIONS, **_JUDGED),
            _object(("name", "error"), name=_TEXT, error=_FAULT),
        ]
    },
    "KServeAnswer": _object(
        ("model", "predictions"),
        model=_MODEL,
        predictions={"type": "array", "items": ref("Result")},
    ),
    "InferAnswer": _object(
        ("model_name", "model_version", "outputs"),
        id=_TEXT,
        model_name=_TEXT,
        model_version=_TEXT,
        outputs={"type": "array", "items": ref("OutputTensor")},
    ),
    "OutputTensor": _object(
        ("name", "datatype", "shape", "data"),
        name=_TEXT,
        datatype=_TEXT,
        shape={"type": "array", "items": {"type": "integer"}},
        data={"type": "array"},
    ),
    "Explanation": _object(
        ("model", "explanation"),
        model=_MODEL,
        explanation=_object(
            ("label", "index", "probability", "method", "heat_map"),
            label=_TEXT,
            index={"type": "integer"},
            probability={"type": "number"},
            method=_TEXT,
            image_size_px={"type": "integer"},
            heat_map={"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        ),
    ),
    "Error": {"oneOf": [ref("HandlerError"), ref("ServerError")]},
    "HandlerError": _object(("model", "error"), model=_MODEL, error=_FAULT),
    "ServerError": _object(("code", "type", "message"), code={"type": "integer"}, type=_TEXT, message=_TEXT),
    "InferError": {
        "oneOf": [
            _object(("error", "code", "status"), error=_TEXT, code=_TEXT, status={"type": "integer"}),
            ref("HandlerError"),
            ref("ServerError"),
        ]
    },
}  # fmt: skip
