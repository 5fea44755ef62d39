"""A quantised archive on a real server: int8 where ONNX Runtime serves it, else the float32 network."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handlers.engines.onnx_engine import OnnxEngine
from handlers.images.preprocessing import load_pixels
from serving.archive.reader import Archive, read_archive
from serving.archive.repack import repack
from serving.client import GrpcClient, HttpClient
from serving.rollout.readiness import check_probes
from serving.settings import ServerSettings
from tests.e2e.headswap.helpers import evaluated_probabilities, served_probabilities
from training.data.dataset import preprocessing_of
from training.run import Run

VERSION = "8.0"


@pytest.fixture(scope="module")
def int8(
    runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Archive, list[str]]:
    """Return the archive and the messages of its export."""
    from training.export.archive import export_archive

    messages: list[str] = []
    store = tmp_path_factory.mktemp("int8")
    path = export_archive(
        runs["1.0"], name="clothing", version=VERSION, model_store=store, precision="int8",
        report=messages.append,
    )  # fmt: skip
    return read_archive(path), messages


@pytest.fixture
def served_int8(
    int8: tuple[Archive, list[str]], load_beside: Callable[[Archive], Archive]
) -> Archive:
    return load_beside(int8[0])


@pytest.fixture
def served_float32(
    int8: tuple[Archive, list[str]], load_beside: Callable[[Archive], Archive], tmp_path: Path
) -> Archive:
    """Return the same archive served from its weights, as on a GPU or without ONNX Runtime."""
    target = tmp_path / "clothing-8.1.mar"
    return load_beside(repack(int8[0], {"handler": {"engine": "eager"}}, target, version="8.1"))


def test_served_probabilities_are_those_of_its_own_engine(
    served_int8: Archive,
    steady: ServerSettings,
    runs: dict[str, Path],
    photos: list[bytes],
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(served_int8.path) as packed:
        onnx_path = Path(packed.extract("model.onnx", tmp_path))
    spec = preprocessing_of(Run(folder=runs["1.0"]).config())
    engine = OnnxEngine(onnx_path, thread_count=1, precision="int8")
    expected = engine.probabilities([load_pixels(photo, spec) for photo in photos])
    with HttpClient(steady) as http, GrpcClient(steady) as grpc:
        np.testing.assert_allclose(served_probabilities(http, VERSION, photos), expected, atol=1e-4)
        for client in (http, grpc):
            assert check_probes(client, served_int8, version=VERSION) < 1e-4


def test_its_model_card_says_what_int8_costs(int8: tuple[Archive, list[str]]) -> None:
    archive, messages = int8
    with zipfile.ZipFile(archive.path) as packed:
        card = json.loads(packed.read("model_card.json"))
        names = packed.namelist()
        assert (
            packed.getinfo("model.onnx").file_size
            < packed.getinfo("weights.safetensors").file_size / 3
        )
    assert "float32.onnx" not in names
    cost = card["quantisation"]
    assert card["precision"] == "int8"
    assert (cost["compared_on"], cost["photos"]) == ("val", card["metrics"]["val"]["n"])
    assert cost["same_class"] >= 0.9 * cost["photos"]
    assert f"int8 compared with float32 on {cost['photos']} val photos" in messages[0]


def test_without_onnx_runtime_the_float32_network_answers(
    served_float32: Archive, steady: ServerSettings, runs: dict[str, Path]
) -> None:
    evaluated = json.loads((runs["1.0"] / "evaluation.json").read_text())["photos"][::12]
    with HttpClient(steady) as client:
        assert check_probes(client, served_float32, version="8.1") < 1e-4
        photos = [Path(photo["path"]).read_bytes() for photo in evaluated]
        expected = [evaluated_probabilities(photo) for photo in evaluated]
        np.testing.assert_allclose(served_probabilities(client, "8.1", photos), expected, atol=1e-4)
