"""A run that took no time: an untrained network, evaluated on the sample photos under odd names."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from handlers.engines.network import build_network
from training.config import TrainConfig
from training.data.dataset import preprocessing_of
from training.data.photos import SPLITS, read_photos
from training.evaluation.evaluation import evaluate
from training.run import Run, begin_run

SAMPLE = Path(__file__).parents[2] / "sample_data" / "clothing"
# Formulas to matplotlib (the second a broken one), markup to HTML, and a script that its font lacks.
ODD_NAMES = ("$5 to $9", r"$\frac{$", "<b>hats & co", "シャツ", "t-shirt")


@pytest.fixture(scope="session")
def untrained_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("untrained")
    for split in SPLITS:
        (folder / "photos" / split).mkdir(parents=True)
        for name, photos in zip(ODD_NAMES, sorted((SAMPLE / split).iterdir()), strict=True):
            (folder / "photos" / split / name).symlink_to(photos)
    config = TrainConfig(
        data=folder / "photos", out=folder / "run", architecture="resnet18", image_size_px=64
    )
    run = Run(folder=config.out)
    begin_run(run, config, read_photos(config.data), licence_note="Made for a test.")
    torch.manual_seed(0)
    network = build_network(
        architecture="resnet18", class_count=5, preprocessing=preprocessing_of(config)
    )
    save_file(network.backbone_and_head.state_dict(), run.best_path)
    losses = {"train_loss": 1.0, "val_loss": 1.2, "val_accuracy": 0.4, "seconds": 1.0}
    lines = [{"epoch": epoch, "frozen": epoch < 3, **losses} for epoch in range(1, 6)]
    run.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    evaluate(run.folder)
    return run
