"""One archive on TorchServe and on Ray: the same answers to photos, and the same bytes to everything else."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests

from serving import stubs
from serving.client import GrpcClient, HttpClient, Prediction, map_in_order
from serving.client.grpc_channel import metadata_of, open_channel
from tests.e2e.headswap.engine import Engine

PHOTOS = Path(__file__).parents[4] / "sample_data" / "clothing"
TIMEOUT_S = 60.0
BYTES = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
# What a server may say in its own way; HAProxy goes on with a connection after an error, the others end it.
OWN_HEADERS = {"date", "server", "x-request-id", "connection"}


def predict_all(engine: Engine, kind: type[HttpClient | GrpcClient]) -> list[Prediction]:
    photos = [path.read_bytes() for path in sorted(PHOTOS.glob("*/*/*.jpg"))]
    with engine.client(kind) as client:
        return list(
            map_in_order(
                lambda photo: client.predict("clothing", photo, top_k=5), photos, in_flight=4
            )
        )


@pytest.fixture(scope="module")
def expected(on_torchserve: Engine) -> list[Prediction]:
    """Return what TorchServe says of every photo over HTTP; over gRPC it says the same (test_served_clients.py)."""
    return predict_all(on_torchserve, HttpClient)


@pytest.mark.parametrize("kind", [HttpClient, GrpcClient])
def test_all_photos_have_the_same_answers(
    expected: list[Prediction], on_ray: Engine, kind: type[HttpClient | GrpcClient]
) -> None:
    answers = predict_all(on_ray, kind)
    assert len(answers) == 500
    for one, other in zip(expected, answers, strict=True):
        assert [score.label for score in other.scores] == [score.label for score in one.scores]
        assert (other.outcome, other.version) == (one.outcome, one.version)
        np.testing.assert_allclose(
            [score.probability for score in other.scores],
            [score.probability for score in one.scores],
            atol=1e-6,
            rtol=0,
        )


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request of HTTP; `photo` stands for the bytes of a photo."""

    path: str = "/predictions/clothing"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Any = b""
    files: Any = None
    token: str | None = "right"


def binary_tensor(photo: bytes) -> tuple[bytes, dict[str, str]]:
    data = struct.pack("<I", len(photo)) + photo
    tensor = {
        "name": "image", "shape": [1], "datatype": "BYTES",
        "parameters": {"binary_data_size": len(data)},
    }  # fmt: skip
    text = json.dumps({"inputs": [tensor]}).encode()
    return text + data, {"Inference-Header-Content-Length": str(len(text))}


def requests_with(photo: bytes) -> dict[str, Sent]:
    tensor, tensor_headers = binary_tensor(photo)
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n'
    return {
        "photo": Sent(data=photo, headers=BYTES),
        "put": Sent(method="PUT", data=photo, headers=BYTES),
        "no type": Sent(data=photo),
        "options": Sent(
            data=photo,
            headers=BYTES | {"X-Top-K": "2", "X-Correlation-Id": "a b", "traceparent": "x"},
        ),
        "version": Sent(path="/predictions/clothing/1.0", data=photo, headers=BYTES),
        "empty version": Sent(path="/predictions/clothing/", data=photo, headers=BYTES),
        "more segments": Sent(path="/predictions/clothing/1.0/a/b", data=photo, headers=BYTES),
        "encoded": Sent(path="/predictions/cloth%69ng%2F1.0?top_k=1", data=photo, headers=BYTES),
        "explanation": Sent(path="/explanations/clothing", data=photo, headers=BYTES),
        "png": Sent(
            path="/explanations/clothing/1.0", data=photo, headers=BYTES | {"Accept": "image/png"}
        ),
        "no body": Sent(method="GET"),
        "empty body": Sent(headers=BYTES),
        "no photo": Sent(data=b"no photo", headers=BYTES),
        "cut photo": Sent(data=photo[: len(photo) // 2], headers=BYTES),
        "wrong top_k": Sent(data=photo, headers=BYTES | {"X-Top-K": "-1"}),
        "text": Sent(data=b"hello", headers={"Content-Type": "text/plain"}),
        "json": Sent(data=json.dumps({"b64": "eHh4"}), headers=JSON),
        "json with charset": Sent(
            data='{"b64": "eHh4"}', headers={"Content-Type": "application/json; charset=utf-8"}
        ),
        "json list": Sent(data="[1]", headers=JSON),
        "no json": Sent(data="{", headers=JSON),
        "deep json": Sent(data="[" * 5000, headers=JSON),
        "v1": Sent(
            path="/v1/models/clothing:predict", data='{"instances":[{"b64":"eHh4"}]}', headers=JSON
        ),
        "v1 explain": Sent(path="/v1/models/clothing:explain", data=photo, headers=BYTES),
        "v2": Sent(path="/v2/models/clothing/infer", data='{"inputs":[]}', headers=JSON),
        "v2 binary": Sent(
            path="/v2/models/clothing/infer", data=tensor, headers=BYTES | tensor_headers
        ),
        "form": Sent(files=[("a", ("a.jpg", photo, "image/jpeg")), ("b", photo)], data={"top_k": "1"}),
        "form with a name twice": Sent(files=[("a", photo), ("a", photo)]),
        "form with backslashes": Sent(
            files=[("a", ("C:\\a\\", photo, "image/jpeg")), ("b\\c", photo)]
        ),
        "form of text": Sent(files={"a": ("a", b"abc", "text/plain")}),
        "form of json": Sent(files={"a": ("a", b'{"b64":"eHh4"}', "application/json")}),
        "form without an end": Sent(data=part + b"\r\nabc", headers=form),
        "empty form": Sent(headers=form),
        "form without a boundary": Sent(data=photo, headers={"Content-Type": "multipart/form-data"}),
        "urlencoded": Sent(data={"a": "b"}),
        "ready": Sent(headers={"X-Headswap-Model": "ready"}),
        "ping": Sent(path="/ping", method="GET"),
        "unknown model": Sent(path="/predictions/nothing", data=photo, headers=BYTES),
        "unknown version": Sent(path="/predictions/clothing/9", data=photo, headers=BYTES),
        "unknown name": Sent(path="/predictions/%22%0a%7b", method="GET"),
        "no model": Sent(path="/predictions/", data=photo, headers=BYTES),
        "unknown path": Sent(path="/nothing/at/all", method="GET"),
        "unknown kserve": Sent(path="/v2/models/nothing/infer", data=photo, headers=BYTES),
        "no kserve task": Sent(path="/v1/models/clothing", data=photo, headers=BYTES),
        "no token": Sent(data=photo, headers=BYTES, token=None),
        "wrong token": Sent(data=photo, headers=BYTES, token="wrong"),
    }  # fmt: skip


def send(engine: Engine, sent: Sent) -> tuple[int, bytes, dict[str, str]]:
    """Return the status, the body and the headers."""
    token = engine.token() if sent.token == "right" else sent.token
    headers = dict(sent.headers) | ({"Authorization": f"Bearer {token}"} if token else {})
    response = requests.request(
        sent.method, engine.inference_url + sent.path, headers=headers, data=sent.data, files=sent.files,
        timeout=TIMEOUT_S,
    )  # fmt: skip
    lower = {name.lower(): value for name, value in response.headers.items()}
    compared = {name: value for name, value in lower.items() if name not in OWN_HEADERS}
    return response.status_code, response.content, compared


def test_every_request_has_the_same_bytes(
    on_torchserve: Engine, on_ray: Engine, photos: list[bytes]
) -> None:
    different = {}
    for name, sent in requests_with(photos[0]).items():
        expected, answer = send(on_torchserve, sent), send(on_ray, sent)
        if answer != expected:
            different[name] = (expected, answer)
    assert different == {}


def test_grpc_has_the_bytes_of_http_and_torchserves_errors(
    on_torchserve: Engine, on_ray: Engine, photos: list[bytes]
) -> None:
    for photo in (*photos[:8], b"no photo", b""):
        with open_channel(on_ray.endpoint("grpc")) as channel:
            body = call(channel, on_ray, model_name="clothing", input={"data": photo})
        assert body == send(on_ray, Sent(data=photo, headers=BYTES))[1]
    faults: list[dict[str, Any]] = [
        {"model_name": "nothing"}, {"model_name": "clothing", "model_version": "9"}, {},
        {"model_name": "clothing"}, {"model_name": "clothing", "token": "wrong"},
    ]  # fmt: skip
    for fields in faults:
        answers = []
        for engine in (on_torchserve, on_ray):
            with open_channel(engine.endpoint("grpc")) as channel:
                answers.append(call(channel, engine, **fields))
        assert answers[0] == answers[1], fields


def call(channel: grpc.Channel, engine: Engine, *, token: str | None = None, **fields: Any) -> Any:
    """Return the body of the answer, or the status with its details, of which Java adds a class to some."""
    messages, calls = stubs.load("inference")
    predictions = calls.InferenceAPIsServiceStub(channel).Predictions
    try:
        answer = predictions(
            messages.PredictionsRequest(**fields),
            timeout=TIMEOUT_S,
            metadata=metadata_of(token or engine.token()),
        )
    except grpc.RpcError as error:
        return error.code(), error.details().removesuffix("\nBadRequestException.()")
    return answer.prediction
