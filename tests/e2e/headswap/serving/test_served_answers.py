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
from tests.e2e.headswap.helpers import evaluated_probabilities, probabilities_of
from tests.unit.handlers.helpers import encode

# As a phone held upright writes it: stored sideways, with a transform and an EXIF orientation.
HEIC = Path(__file__).parents[3] / "unit" / "handlers" / "images" / "heic" / "orientation_6.heic"


def test_http_and_grpc_give_the_same_answers(steady: ServerSettings, photos: list[bytes]) -> None:
    with HttpClient(steady) as http, GrpcClient(steady) as grpc:
        for photo in photos:
            assert http.predict("clothing", photo, top_k=3) == grpc.predict(
                "clothing", photo, top_k=3
            )


def test_served_probabilities_are_those_of_the_evaluation(
    steady: ServerSettings, runs: dict[str, Path]
) -> None:
    evaluated = json.loads((runs["1.0"] / "evaluation.json").read_text())["photos"]
    with HttpClient(steady) as client:
        for photo in evaluated[::6]:
            prediction = client.predict("clothing", Path(photo["path"]).read_bytes(), top_k=5)
            np.testing.assert_allclose(
                probabilities_of(prediction), evaluated_probabilities(photo), atol=1e-4
            )


@pytest.mark.parametrize("client_class", [HttpClient, GrpcClient])
def test_both_transports_raise_the_same_errors(
    steady: ServerSettings, photos: list[bytes], client_class: type[HttpClient | GrpcClient]
) -> None:
    with client_class(steady) as client:
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
    steady: ServerSettings, client_class: type[HttpClient | GrpcClient]
) -> None:
    heic = HEIC.read_bytes()
    png = encode(decode_photo(heic, shorter_side_px=1000), "PNG")
    with client_class(steady) as client:
        answer = client.predict("clothing", heic, top_k=5)
        assert answer == client.predict("clothing", png, top_k=5)


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/json", None])
def test_binary_tensors_reach_the_handler_with_any_content_type(
    steady: ServerSettings, photos: list[bytes], content_type: str | None
) -> None:
    """TorchServe parses JSON by itself; where that fails for the data behind it, it passes the bytes on."""
    data = b"".join(struct.pack("<I", len(photo)) + photo for photo in photos[:2])
    parameters = {"binary_data_size": len(data)}
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "parameters": parameters}
    text = json.dumps({"inputs": [tensor], "parameters": {"top_k": 1}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))} | authorization(steady)
    if content_type is not None:
        headers["Content-Type"] = content_type
    url = f"{steady.inference_url}/v2/models/clothing/infer"
    answer = requests.post(url, data=text + data, headers=headers, timeout=30).json()
    with HttpClient(steady) as client:
        expected = [client.predict("clothing", photo).top.label for photo in photos[:2]]
    assert answer["outputs"][0]["data"] == expected


@pytest.mark.parametrize("version", ["", "1.0"])
def test_the_handler_says_that_the_model_is_ready(steady: ServerSettings, version: str) -> None:
    """The gateway asks like this, with the empty version where a client names none."""
    response = requests.post(
        f"{steady.inference_url}/predictions/clothing/{version}",
        headers={"X-Headswap-Model": "ready"} | authorization(steady),
        timeout=30,
    )
    assert (response.status_code, response.json()) == (200, {"name": "clothing", "ready": True})


def authorization(settings: ServerSettings) -> dict[str, str]:
    return {"Authorization": f"Bearer {read_token(settings.key_file, 'inference')}"}


def test_requests_without_the_right_token_are_rejected(
    steady: ServerSettings, photos: list[bytes]
) -> None:
    url = f"{steady.inference_url}/predictions/clothing"
    management = read_token(steady.key_file, "management")
    inference = read_token(steady.key_file, "inference")
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {management}"},
    ):
        assert requests.post(url, data=photos[0], headers=headers, timeout=30).status_code == 400
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


def test_the_key_file_is_private(steady: ServerSettings) -> None:
    assert steady.key_file.stat().st_mode & 0o077 == 0
