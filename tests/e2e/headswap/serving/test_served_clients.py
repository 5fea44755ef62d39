"""Both clients against a real server: lists, explanations, management, tokens, `headswap predict --address`."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import requests

from serving import stubs
from serving.archive.reader import read_archive
from serving.client import Client, Endpoint, GrpcClient, HttpClient, Prediction, map_in_order
from serving.client.grpc_channel import metadata_of
from serving.client.token_sources import TokenFile
from serving.client.tokens import read_token
from serving.errors import BadImageError, NotFoundError, UnauthorisedError
from serving.rollout.store import install
from serving.settings import ServerSettings
from tests.e2e.headswap.engine import Engine

CLIENTS = [HttpClient, GrpcClient]
DEADLINE_S = 120.0


def remote(engine: Engine, client_class: type[HttpClient | GrpcClient], **options) -> Client:
    address = engine.inference_url if client_class is HttpClient else engine.grpc_target
    return client_class.to(address, **options)


@pytest.mark.parametrize("client_class", CLIENTS)
def test_a_list_has_an_outcome_per_photo_in_its_order(
    engine: Engine, photos: list[bytes], client_class: type[HttpClient | GrpcClient]
) -> None:
    # More than ten, so that an alphabetical order of the numbers would show.
    sent = [*photos[:12], b"no image", b"", photos[0]]
    with engine.client(client_class) as client:
        singly = list(
            map_in_order(
                lambda photo: client.predict("clothing", photo, top_k=2), sent, in_flight=8
            )
        )
        outcomes = client.predict("clothing", sent, top_k=2)
    assert [type(outcome) for outcome in outcomes[12:]] == [
        BadImageError,
        BadImageError,
        Prediction,
    ]
    assert [outcome.name for outcome in outcomes] == [str(index) for index in range(len(sent))]
    # Errors compare by identity, predictions by value.
    assert [
        str(replace(outcome, name=None) if isinstance(outcome, Prediction) else outcome)
        for outcome in outcomes
    ] == [str(outcome) for outcome in singly]


def test_a_form_with_two_fields_of_one_name_is_rejected(
    engine: Engine, photos: list[bytes]
) -> None:
    """TorchServe's worker would pass on the last one alone."""
    url = f"{engine.inference_url}/predictions/clothing"
    headers = {"Authorization": f"Bearer {engine.token()}"}
    for names, status in (("aa", 400), ("ab", 200), ("aba", 400)):
        files = [(name, photo) for name, photo in zip(names, photos, strict=False)]
        response = requests.post(url, files=files, headers=headers, timeout=DEADLINE_S)
        assert response.status_code == status
        if status == 200:
            assert [result["name"] for result in response.json()["results"]] == ["a", "b"]
        else:
            assert response.json()["error"]["code"] == "invalid_request"
            assert "'a'" in response.json()["error"]["message"]


def test_a_grpc_stream_has_one_answer_and_the_worker_lives(
    engine: Engine, photos: list[bytes]
) -> None:
    """Without the response header `ts_stream_next`, each of these calls kills a worker."""
    messages, _ = stubs.load("inference")
    service = "/org.pytorch.serve.grpc.inference.InferenceAPIsService"
    token = metadata_of(engine.token())
    pids = engine.worker_pids()
    with grpc.insecure_channel(engine.grpc_target) as channel:
        arguments = {
            "request_serializer": messages.PredictionsRequest.SerializeToString,
            "response_deserializer": messages.PredictionResponse.FromString,
        }
        stream = channel.unary_stream(f"{service}/StreamPredictions", **arguments)
        single = channel.unary_unary(f"{service}/Predictions", **arguments)
        for photo in (photos[0], b"no photo", photos[1]):
            request = messages.PredictionsRequest(model_name="clothing", input={"data": photo})
            answers = list(stream(request, timeout=DEADLINE_S, metadata=token))
            assert answers == [single(request, timeout=DEADLINE_S, metadata=token)]
    assert engine.worker_pids() == pids


def test_explanations_are_the_same_over_both_transports(
    engine: Engine, photos: list[bytes]
) -> None:
    with engine.client(HttpClient) as http, engine.client(GrpcClient) as grpc:
        over_http = http.explain("clothing", photos[0], class_name="hat", timeout_s=DEADLINE_S)
        over_grpc = grpc.explain("clothing", photos[0], class_name="hat", timeout_s=DEADLINE_S)
        png = grpc.explain_png("clothing", photos[0], timeout_s=DEADLINE_S)
    assert over_http == over_grpc
    assert (over_http.label, over_http.method) == ("hat", "grad-cam")
    assert 0 <= min(map(min, over_http.heat_map)) <= max(map(max, over_http.heat_map)) <= 1
    assert png.startswith(b"\x89PNG")


def test_management_does_the_same_over_both_transports(
    steady: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    second = install(read_archive(archives["2.0"]), steady.model_store)
    with HttpClient(steady) as http, GrpcClient(steady) as grpc:
        grpc.management.register(second.path.name, workers=1)
        assert http.management.versions("clothing") == grpc.management.versions("clothing")
        http.management.scale("clothing", "2.0", workers=2)
        assert len(grpc.management.versions("clothing")["2.0"].ready_pids) == 2
        assert http.is_ready("clothing", version="2.0")
        http.management.set_default("clothing", "2.0")
        assert grpc.management.default_version("clothing") == "2.0"
        assert grpc.predict("clothing", photos[0]).version == "2.0"
        grpc.management.set_default("clothing", "1.0")
        grpc.management.unregister("clothing", "2.0")
        assert set(http.management.versions("clothing")) == {"1.0"}
        assert http.models() == grpc.models() == ["clothing"]
        for client in (http, grpc):
            assert client.management.versions("nothing") == {}
            assert not client.is_ready("clothing", version="2.0")
            with pytest.raises(NotFoundError):
                client.management.set_default("clothing", "2.0")


@pytest.mark.parametrize("client_class", CLIENTS)
def test_an_expired_token_is_renewed_by_the_client(
    steady: ServerSettings, photos: list[bytes], client_class: type[HttpClient | GrpcClient]
) -> None:
    keys = json.loads(steady.key_file.read_text())
    keys["inference"] = {"key": "expired", "expiration time": "2020-01-01T00:00:00.123456789Z"}
    steady.key_file.write_text(json.dumps(keys))
    with client_class(steady) as client:
        assert client.predict("clothing", photos[0]).version == "1.0"
    assert read_token(steady.key_file, "inference") != "expired"


@pytest.mark.parametrize("client_class", CLIENTS)
def test_a_remote_client_needs_an_address_and_the_right_token(
    engine: Engine, photos: list[bytes], client_class: type[HttpClient | GrpcClient]
) -> None:
    for options in ({"token": "wrong"}, {}):
        with remote(engine, client_class, **options) as client, pytest.raises(UnauthorisedError):
            client.predict("clothing", photos[0])
    with remote(engine, client_class, token_file=engine.key_file) as client:
        assert client.predict("clothing", photos[0]).version == "1.0"


def test_the_inference_token_is_rejected_by_management(steady: ServerSettings) -> None:
    token = TokenFile(steady.key_file, "inference")
    http = Endpoint(address=steady.management_url, token=token)
    with HttpClient(http, management=http) as client, pytest.raises(UnauthorisedError):
        client.models()
    grpc = Endpoint(address=f"http://{steady.grpc_management_target}", token=token)
    with GrpcClient(grpc, management=grpc) as client, pytest.raises(UnauthorisedError):
        client.models()


def test_predict_with_an_address_goes_on_past_bad_photos(
    engine: Engine, photos: list[bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:02}.jpg").write_bytes(photos[number % len(photos)])
    (folder / "13.jpg").write_bytes(b"broken")
    (folder / "[29].jpg").symlink_to(folder / "missing.jpg")
    command = [
        sys.executable, "-m", "headswap", "predict", str(folder), "--csv", "--top-k", "1",
        "--address", engine.inference_url, "--model", "clothing", "--config", "/nowhere",
    ]  # fmt: skip
    completed = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        env={**os.environ, "HEADSWAP_TOKEN": engine.token()},
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(completed.stdout)))
    assert completed.returncode == 1
    assert [Path(row["photo"]).name for row in rows] == [f"{number:02}.jpg" for number in range(60)]
    assert [Path(row["photo"]).name for row in rows if row["error"]] == ["13.jpg"]
    assert all(row["version"] == "1.0" and row["label_1"] for row in rows if not row["error"])
    # The link to nothing, the photo, the total, and no progress bar without a terminal.
    link, photo, total = completed.stderr.splitlines()
    assert "[29].jpg" in link
    assert "13.jpg" in photo
    assert total == "headswap: 1 of 60 photos could not be classified"
