"""What clients may send to the inference port, as OpenAPI 3.1; `python -m page.openapi` writes docs/openapi.json."""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from page import openapi_schemas as schemas
from page.context import context_of
from serving.errors import InputError
from serving.rollout.live_record import read_record
from storage import atomic_write

DEFAULT_ADDRESS = "http://127.0.0.1:8080"
JSON = "application/json"
RESPONSES = {
    "400": ("The image or the request cannot be used, or the token is not valid.", "Error"),
    "404": ("There is no such model or version, or the version is being unloaded.", "Error"),
    "413": ("The image is too large; without a body: the request is.", "Error"),
    "415": ("The image has a format that is not read.", "Error"),
    "500": ("A bug of the server; its log has the details.", "Error"),
    "503": ("The queue is full, or the server is shutting down; try again.", "Error"),
    "504": ("The deadline passed before the image was classified.", "Error"),
}


async def show(request: Request) -> Response:
    """Return the description of the server that this page belongs to, with the models that are live there."""
    context = context_of(request)
    try:
        models = sorted(read_record(context.settings.model_store))
    except InputError:
        models = []
    return JSONResponse(describe(context.settings.inference_url, models=models))


def describe(address: str = DEFAULT_ADDRESS, *, models: Sequence[str] = ()) -> dict[str, Any]:
    """Return the description; `models` are those that clients may name, where they are known."""
    model = _in_path("model", "The name of a model.", schemas.model_name(models))
    version = _in_path("version", "A loaded version.", schemas.VERSION)
    options = [_header(*option) for option in schemas.OPTIONS]
    classified = ("What the image, or each of several, shows.", "Answer")
    predict = _operation("Classify images", classified, schemas.IMAGE_BODIES)
    explained = ("Which part of the image spoke for a class.", "Explanation")
    explain = _operation("Explain a prediction", explained, schemas.ONE_IMAGE_BODIES)
    explain["responses"]["200"]["content"]["image/png"] = {}
    explained_class = _header("X-Explain-Class", schemas.EXPLAINED_CLASS, "The class to explain.")
    kserve = ("The answers, in the order of the instances.", "KServeAnswer")
    tensors = ("Tensors of labels, indices and probabilities.", "InferAnswer")
    v1 = _operation("Classify images (KServe v1)", kserve, {JSON: schemas.ref("KServeRequest")})
    v2_body = {JSON: schemas.ref("InferRequest")}
    v2 = _operation("Classify images (Open Inference v2)", tensors, v2_body, error="InferError")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "headswap inference",
            "version": metadata.version("headswap"),
            "summary": "What clients may send to the inference port.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": address}],
        "security": [{"token": []}],
        "paths": {
            "/predictions/{model}": {
                "parameters": [model, *options],
                "post": _named(predict, "predict"),
                "put": _named(predict, "predictByPut"),
            },
            "/predictions/{model}/{version}": {
                "parameters": [model, version, *options],
                "post": _named(predict, "predictWithVersion"),
            },
            "/explanations/{model}": {
                "parameters": [model, explained_class],
                "post": _named(explain, "explain"),
            },
            "/v1/models/{model}:predict": {"parameters": [model, *options], "post": _named(v1, "kserveV1")},
            "/v2/models/{model}/infer": {"parameters": [model, *options], "post": _named(v2, "openInferenceV2")},
        },
        "components": {
            "schemas": schemas.COMPONENTS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _named(operation: dict[str, Any], operation_id: str) -> dict[str, Any]:
    return {"operationId": operation_id, **operation}


def _operation(
    summary: str, success: tuple[str, str], bodies: dict[str, Any], *, error: str | None = None
) -> dict[str, Any]:
    responses = {"200": success, **RESPONSES}
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": schema} for media_type, schema in bodies.items()},
        },
        "responses": {
            status: _response(text, schema if status == "200" else error or schema)
            for status, (text, schema) in responses.items()
        },
    }


def _response(text: str, schema: str) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schemas.ref(schema)}}}


def _in_path(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _header(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": schema}


if __name__ == "__main__":
    target = Path(__file__).parents[1] / "docs" / "openapi.json"
    atomic_write(target, json.dumps(describe(), indent=2) + "\n")
