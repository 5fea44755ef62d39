"""What a client of a real server gets: the probabilities of the evaluation over both transports, and typed errors."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import requests

from handlers.images.decoding import decode_photo
from serving.client import GrpcClient, HttpClient
from serving.client.tokens import read_token, renew_token
from serving.errors import BadImageError, NotFoundError, TooLargeError
from serving.settings import ServerSettings
from tests.e2e.headswap.engine import Engine
from tests.e2e.headswap.helpers import evaluated_probabilities, probabilities_of
from tests.unit.handlers.helpers import encode

# As a phone held upright writes it: stored sideways, with a transform and an EXIF orientation.
HEIC = Path(__file__).parents[3] / "unit" / "handlers" / "images" / "heic" / "orientation_6.heic"


def test_http_and_grpc_give_the_same_answers(engine: Engine, photos: list[bytes]) -> None:
    with engine.client(HttpClient) as http, engine.client(GrpcClient) as grpc:
        for photo in photos:
            assert http.predict("clothing", photo, top_k=3) == grpc.predict(
                "clothing", photo, top_k=3
            )


def test_served_probabilities_are_those_of_the_evaluation(
    engine: Engine, runs: dict[str, Path]
) -> None:
    evaluated = json.loads((runs["1.0"] / "evaluation.json").read_text())["photos"]
    with engine.client(HttpClient) as client:
        for photo in evaluated[::6]:
            prediction = client.predict("clothing", Path(photo["path"]).read_bytes(), top_k=5)
            np.testing.assert_allclose(
                probabilities_of(prediction), evaluated_probabilities(photo), atol=1e-4
            )


@pytest.mark.parametrize("client_class", [HttpClient, GrpcClient])
def test_both_transports_raise_the_same_errors(
    engine: Engine, photos: list[bytes], client_class: type[HttpClient | GrpcClient]
) -> None:
    with engine.client(client_class) as client:
        with pytest.raises(BadImageError) as caught:
            client.predict("clothing", b"not an image")
        assert caught.value.status in (400, 415)
        with pytest.raises(NotFoundError):
            client.predict("nothing", photos[0])
        with pytest.raises(NotFoundError):
            client.predict("clothing", photos[0], version="9.9")
        with pytest.raises(TooLargeError, match=r"accepts: 20,000,000 \(max_request_size"):
            client.predict("clothing", bytes(20_500_000))


@pytest.mark.parametrize("client_class", [HttpClient, GrpcClient])
def test_a_heic_photo_has_the_answer_of_its_upright_pixels(
    engine: Engine, client_class: type[HttpClient | GrpcClient]
) -> None:
    heic = HEIC.read_bytes()
    png = encode(decode_photo(heic, shorter_side_px=1000), "PNG")
    with engine.client(client_class) as client:
        answer = client.predict("clothing", heic, top_k=5)
        assert answer == client.predict("clothing", png, top_k=5)


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/json", None])
def test_binary_tensors_reach_the_handler_with_any_content_type(
    engine: Engine, photos: list[bytes], content_type: str | None
) -> None:
    """TorchServe parses JSON by itself; where that fails for the data behind it, it passes the bytes on."""
    data = b"".join(struct.pack("<I", len(photo)) + photo for photo in photos[:2])
    parameters = {"binary_data_size": len(data)}
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "parameters": parameters}
    text = json.dumps({"inputs": [tensor], "parameters": {"top_k": 1}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))} | engine.authorization()
    if content_type is not None:
        headers["Content-Type"] = content_type
    url = f"{engine.inference_url}/v2/models/clothing/infer"
    answer = requests.post(url, data=text + data, headers=headers, timeout=30).json()
    with engine.client(HttpClient) as client:
        expected = [client.predict("clothing", photo).top.label for photo in photos[:2]]
    assert answer["outputs"][0]["data"] == expected


@pytest.mark.parametrize("version", ["", "1.0"])
def test_the_handler_says_that_the_model_is_ready(engine: Engine, version: str) -> None:
    """The gateway asks like this, with the empty version where a client names none."""
    response = requests.post(
        f"{engine.inference_url}/predictions/clothing/{version}",
        headers={"X-Headswap-Model": "ready"} | engine.authorization(),
        timeout=30,
    )
    assert (response.status_code, response.json()) == (200, {"name": "clothing", "ready": True})


def test_requests_without_the_right_token_are_rejected(engine: Engine, photos: list[bytes]) -> None:
    url = f"{engine.inference_url}/predictions/clothing"
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {engine.token('management')}"},
        {"Authorization": engine.token()},
    ):
        answer = requests.post(url, data=photos[0], headers=headers, timeout=30)
        assert (answer.status_code, answer.json()["type"]) == (400, "InvalidKeyException")
        assert "clothing" not in answer.text


def test_the_inference_token_does_not_open_the_management_api(steady: ServerSettings) -> None:
    inference = read_token(steady.key_file, "inference")
    models = requests.get(
        f"{steady.management_url}/models",
        headers={"Authorization": f"Bearer {inference}"},
        timeout=30,
    )
    assert models.status_code == 400


def test_clients_go_on_after_a_token_renewal(steady: ServerSettings, photos: list[bytes]) -> None:
    with HttpClient(steady) as http, GrpcClient(steady) as grpc:
        before = read_token(steady.key_file, "inference")
        assert http.predict("clothing", photos[0]) == grpc.predict("clothing", photos[0])
        renew_token(steady, "inference")
        assert read_token(steady.key_file, "inference") != before
        assert http.predict("clothing", photos[0]) == grpc.predict("clothing", photos[0])


def test_the_key_file_is_private(engine: Engine) -> None:
    assert engine.key_file.stat().st_mode & 0o077 == 0
