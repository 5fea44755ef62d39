"""An archive with model.mnn: which engine serves it, and that probabilities do not depend on the rest of the batch."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from handlers.engines.mnn_engine import MnnEngine
from handlers.engines.network import Network
from handlers.engines.onnx_engine import OnnxEngine
from handlers.images.preprocessing import PreprocessingSpec
from tests.unit.handlers.helpers import SIZE_PX, Worker
from training.export.mnn import convert
from training.export.onnx import export_onnx


@pytest.fixture
def mnn_folder(archive_folder: Path) -> Path:
    """Return an archive of the same network in both files."""
    convert(archive_folder / "model.onnx", archive_folder / "model.mnn")
    return archive_folder


def pipeline_of(worker: Worker) -> str:
    return worker.handler._classifier.pipeline.name


def test_mnn_serves_an_archive_that_holds_its_file(mnn_folder, photos) -> None:
    with_mnn = Worker(mnn_folder)
    with_onnx = Worker(mnn_folder, {"handler": {"engine": "onnx"}})
    assert "MNN" in pipeline_of(with_mnn)
    assert "ONNX Runtime" in pipeline_of(with_onnx)
    for photo in photos.values():
        item = {"body": bytearray(photo)}
        (status, body), (_, onnx_body) = with_mnn.respond_one(item), with_onnx.respond_one(item)
        assert status == 200
        for score, expected in zip(body["predictions"], onnx_body["predictions"], strict=True):
            assert score["index"] == expected["index"]
            assert score["probability"] == pytest.approx(expected["probability"], abs=1e-5)


def test_onnx_runtime_serves_if_the_file_is_broken(mnn_folder, caplog) -> None:
    (mnn_folder / "model.mnn").write_bytes((mnn_folder / "model.mnn").read_bytes()[:40])
    assert "ONNX Runtime" in pipeline_of(Worker(mnn_folder))
    assert "MNN cannot load model.mnn" in caplog.text
    assert "ONNX Runtime serves instead, slower" in caplog.text
    with pytest.raises(
        RuntimeError, match=r"handler\.engine is 'mnn', but MNN cannot load model\.mnn"
    ):
        Worker(mnn_folder, {"handler": {"engine": "mnn"}})


def test_a_host_without_mnn_says_so(mnn_folder, caplog, monkeypatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "MNN" else real(name)
    )
    assert "ONNX Runtime" in pipeline_of(Worker(mnn_folder))
    assert "MNN is not installed here: ONNX Runtime serves instead" in caplog.text


def test_an_archive_may_lack_the_file_unless_mnn_is_configured(archive_folder, caplog) -> None:
    assert "ONNX Runtime" in pipeline_of(Worker(archive_folder))
    assert "MNN" not in caplog.text
    with pytest.raises(RuntimeError, match=r"'mnn', but the archive holds no model\.mnn"):
        Worker(archive_folder, {"handler": {"engine": "mnn"}})


def test_a_failure_of_mnn_is_an_internal_error_of_that_request_only(mnn_folder, photos) -> None:
    worker = Worker(mnn_folder)
    engine = worker.handler._classifier.pipeline._engine
    run, engine._run = engine._run, lambda pixels: run(pixels[..., :2])
    status, body = worker.respond_one({"body": bytearray(photos["red"])})
    assert (status, body["error"]["code"]) == (500, "internal")
    engine._run = run
    assert worker.respond_one({"body": bytearray(photos["red"])})[0] == 200


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network of 3x3 convolutions, which MNN computes in tiles, as model.onnx and model.mnn."""
    torch.manual_seed(0)
    backbone = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(32, 64, 3, padding=1), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 3),
    )  # fmt: skip
    spec = PreprocessingSpec(image_size_px=SIZE_PX)
    folder = tmp_path_factory.mktemp("convolutions")
    export_onnx(Network(backbone, preprocessing=spec).eval(), folder / "model.onnx", spec)
    convert(folder / "model.onnx", folder / "model.mnn")
    return folder


def test_a_photo_has_the_same_probabilities_alone_and_in_any_batch(convolutions: Path) -> None:
    engine = MnnEngine(convolutions / "model.mnn", thread_count=1)
    pixels = list(np.random.default_rng(0).integers(0, 256, (7, SIZE_PX, SIZE_PX, 3), np.uint8))
    together = engine.probabilities(pixels)
    assert (together.shape, together.dtype) == ((7, 3), np.float32)
    for image, row in zip(pixels, together, strict=True):
        np.testing.assert_array_equal(engine.probabilities([image])[0], row)
    np.testing.assert_array_equal(engine.probabilities(pixels[::-1])[::-1], together)
    onnx = OnnxEngine(convolutions / "model.onnx", thread_count=1).probabilities(pixels)
    np.testing.assert_allclose(together, onnx, atol=1e-6)


def test_the_memory_layout_of_the_pixels_does_not_matter(convolutions: Path) -> None:
    engine = MnnEngine(convolutions / "model.mnn", thread_count=1)
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE_PX, SIZE_PX, 3), np.uint8)
    np.testing.assert_array_equal(
        engine.probabilities([np.asfortranarray(pixels)]), engine.probabilities([pixels])
    )


def test_serving_with_mnn_sends_nothing_to_its_makers(mnn_folder, photos) -> None:
    """MNN.tools installs a package when it is imported, and reports conversions over the network."""
    assert Worker(mnn_folder).respond_one({"body": bytearray(photos["red"])})[0] == 200
    assert "MNN" in sys.modules
    assert not [name for name in sys.modules if name.startswith(("MNN.tools", "aliyun"))]
