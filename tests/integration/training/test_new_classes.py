"""A network with more classes than --data has: trained, evaluated and exported, also after its photos moved."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headswap.cli import main
from training.config import TrainConfig
from training.evaluation.evaluation import evaluate
from training.fit.trainer import train
from training.run import Run

NEW = "blue"


@pytest.fixture
def config(small_config: Callable[..., TrainConfig], tmp_path: Path) -> TrainConfig:
    """Return a config for photos of three colours, and for 12 photos of a fourth one beside them."""
    original = small_config(epochs=1)
    shutil.copytree(original.data, tmp_path / "photos")
    (tmp_path / "also" / NEW).mkdir(parents=True)
    generator = np.random.default_rng(7)
    for number in range(12):
        noise = generator.integers(-60, 60, (36, 40, 3))
        pixels = np.clip(np.array((60, 60, 190)) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "also" / NEW / f"{number}.png")
    return replace(original, data=tmp_path / "photos", also=tmp_path / "also", new_classes=True)


def test_a_new_class_is_trained_evaluated_and_exported(config: TrainConfig, tmp_path: Path) -> None:
    run = Run(folder=train(config))
    assert run.data()["class_names"] == ["dark", "light", "red", NEW]
    counts = {split: values[3] for split, values in run.data()["counts"].items()}
    assert sum(counts.values()) == 12
    evaluation = evaluate(run.folder)
    assert evaluation.n == 9 + counts["test"]
    assert {photo.label for photo in evaluation.photos} == set(range(4))
    assert (
        main(
            [
                "export", str(run.folder), "--name", "small", "--version", "1.1", "--model-store", str(tmp_path),
                "--cpu-engine", "onnx",
            ]
        )
        == 0
    )  # fmt: skip
    with zipfile.ZipFile(tmp_path / "small-1.1.mar") as packed:
        card = json.loads(packed.read("model_card.json"))
    assert card["class_names"] == ["dark", "light", "red", NEW]
    # Photos of the old classes alone, and the run's own in another place.
    shutil.copytree(config.data / "test", tmp_path / "other")
    assert evaluate(run.folder, data=tmp_path / "other").n == 9
    config.data.rename(tmp_path / "moved")
    assert evaluate(run.folder, data=tmp_path / "moved").n == evaluation.n


def test_it_is_evaluated_on_data_where_the_new_photos_are_gone(config: TrainConfig) -> None:
    run = Run(folder=train(config))
    before = evaluate(run.folder)
    assert config.also is not None
    shutil.rmtree(config.also)
    after = evaluate(run.folder)
    assert (after.n, len(after.class_names)) == (9, len(before.class_names))


def test_it_is_resumed_and_audited(config: TrainConfig) -> None:
    run = Run(folder=train(config))
    assert train(replace(config, resume=True)) == run.folder
    assert main(["data", "audit", str(run.folder), "--out", str(run.folder / "audit")]) == 0
