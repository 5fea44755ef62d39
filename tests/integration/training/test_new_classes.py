"""A network with more classes than --data has: trained, evaluated and exported, also after its photos moved."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from handlers.engines.network import find_head
from headswap.cli import main
from headswap.improve.measuring import link_old_test, measure_new, measure_old
from serving.rollout.gates import read_labelled_photos
from training.config import TrainConfig
from training.evaluation.evaluation import evaluate, load_network
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


def test_both_versions_are_measured_on_old_and_new_photos_by_their_own_classes(
    config: TrainConfig, tmp_path: Path
) -> None:
    """The live version here is the same network without its last row: it may be wrong on new photos only."""
    run, classes = Run(folder=train(config)), ["dark", "light", "red"]
    evaluate(run.folder)
    network = load_network(run)
    with torch.no_grad():
        # Always the new class, which the live version lacks.
        network.head.bias[3] = 1e6
    save_file(network.backbone_and_head.state_dict(), run.best_path)
    live = network.backbone_and_head.state_dict()
    head = find_head(network.backbone_and_head)
    live |= {name: live[name][:3].contiguous() for name in (f"{head}.weight", f"{head}.bias")}
    save_file(live, tmp_path / "live.safetensors")
    (tmp_path / "new/red").mkdir(parents=True)
    assert config.also is not None
    shutil.copytree(config.also, tmp_path / "new", dirs_exist_ok=True)
    shutil.copyfile(config.data / "test/red/0.png", tmp_path / "new/red/0.png")
    new, old = measure_new(run, classes, tmp_path / "live.safetensors", tmp_path / "new")
    assert (new.right, new.n, old.n) == (12, 13, 13)
    assert old.right <= 1
    assert measure_old(run, classes).n == 9
    link_old_test(run, classes, tmp_path / "old_test", tmp_path / "old_test.csv")
    said: list[str] = []
    photos = read_labelled_photos(
        tmp_path / "old_test", [*classes, NEW], labels=tmp_path / "old_test.csv", report=said.append
    )
    assert sorted(photo.label for photo in photos) == sorted(classes * 3)
