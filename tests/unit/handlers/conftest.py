"""An archive small enough for unit tests: three classes, distinguished by a photo's mean colour."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from handlers.images.preprocessing import PreprocessingSpec
from handlers.metric_buffer import MetricBuffer
from handlers.model_card import ModelCard
from tests.unit.handlers.helpers import (
    COLOURS,
    SIZE_PX,
    Worker,
    colour_model,
    colour_probabilities,
    encode,
)


@pytest.fixture(autouse=True)
def flush_buffers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Print what a test's workers have buffered before the next test captures the log."""
    buffers: list[MetricBuffer] = []
    real = MetricBuffer.__init__

    def record(buffer: MetricBuffer, **options: Any) -> None:
        real(buffer, **options)
        buffers.append(buffer)

    monkeypatch.setattr(MetricBuffer, "__init__", record)
    yield
    for buffer in buffers:
        buffer.flush()


@pytest.fixture(scope="session")
def spec() -> PreprocessingSpec:
    return PreprocessingSpec(image_size_px=SIZE_PX)


@pytest.fixture(scope="session")
def photos() -> dict[str, bytes]:
    return {name: encode(Image.new("RGB", (40, 30), colour)) for name, colour in COLOURS.items()}


@pytest.fixture(scope="session")
def card(spec: PreprocessingSpec) -> ModelCard:
    return ModelCard(
        name="colours",
        version="1.0",
        architecture="resnet18",
        class_names=tuple(COLOURS),
        preprocessing=spec,
        temperature=1.0,
        metrics={"test": {"accuracy": 1.0, "n": 3}},
        training_run="runs/colours",
        data_fingerprint="0" * 64,
        weights_sha256="0" * 64,
        library_versions={"torch": "2.15"},
        precision="float32",
        quantisation={},
        licence_note="made for this test",
    )


@pytest.fixture
def archive_folder(tmp_path, card, spec, photos) -> Path:
    folder = tmp_path / "archive"
    (folder / "probes").mkdir(parents=True)
    (folder / "model_card.json").write_text(card.to_json())
    onnx.save(colour_model(), str(folder / "model.onnx"))
    probes = []
    for name, data in photos.items():
        (folder / "probes" / f"{name}.jpg").write_bytes(data)
        probes.append({"file": f"{name}.jpg", "probabilities": colour_probabilities(data, spec)})
    text = json.dumps({"tolerance": 0.01, "probes": probes})
    (folder / "probes" / "probes.json").write_text(text)
    return folder


@pytest.fixture
def worker(archive_folder) -> Worker:
    return Worker(archive_folder)
