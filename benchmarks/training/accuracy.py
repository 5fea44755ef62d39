"""Test accuracy of headswap's recipe and of others', on the photo sets of benchmarks/training/photo_sets.py.

    python -m benchmarks.training.photo_sets --clothing CLOTHING
    python -m benchmarks.training.accuracy && python -m benchmarks.training.tables

All recipes get the same starting weights, photos, image size and passes over the photos: headswap's epochs of the head
alone take four passes forward, which count as one. Each cell (set, photos a class, seed, network, recipe) is written to
benchmarks/results/accuracy.json as it is done, and a repeated call goes on. The cells that tell most come first: every
recipe once on each row before any row's second seed.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro

from benchmarks import machine
from benchmarks.measurements import read, result_file, write
from benchmarks.peers.recipes import RECIPES, Learner, Recipe
from benchmarks.training.accuracy_table import EARLIER, HEAD_ALONE, HEADSWAP
from benchmarks.training.photo_sets import FOLDER, draw
from handlers.engines.network import Network
from training.config import TrainConfig
from training.data.dataset import Batch, TrainingPhotos, preprocessing_of, served_pixels
from training.data.photos import PhotoSet, Split
from training.data.source import read_data
from training.evaluation.evaluation import load_network
from training.fit.starting_network import make_starting_network
from training.fit.trainer import train
from training.run import Run
from training.threads import limit_torch_threads

RESULTS = result_file("accuracy")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    HEADSWAP: {},
    HEAD_ALONE: {"freeze": "backbone"},
    EARLIER: {
        "finetuned_share": 1.0, "head_learning_rate": 3e-3, "learning_rate": 1e-3, "backbone_lr_ratio": 0.5,
        "batch_size": 32,
    },
}  # fmt: skip
"""What each recipe of headswap changes of its defaults. Before, the head was random and the best epoch kept as well."""
ROWS = (
    ("other clothing", 10), ("cut-outs", 10), ("tops", 50), ("solar cells", 50), ("drawings", 10),
    ("other clothing", 50), ("solar cells", 10), ("tops", 10), ("clothing", 10), ("clothing", 50),
    ("drawings", 0), ("solar cells", 0), ("other clothing", 0), ("tops", 0), ("clothing", 0),
)  # fmt: skip
"""Photo set and photos a class; 0 is all."""


@dataclass(frozen=True, kw_only=True)
class Command:
    recipes: tuple[str, ...] = (*SETTINGS, *RECIPES)
    architecture: str = "efficientnet_lite0"
    image_size_px: int = 96
    epochs: int = 6
    """Of the whole network; recipes without epochs for the head alone get one more."""
    seeds: int = 3
    photo_sets: tuple[str, ...] = tuple(dict.fromkeys(name for name, _ in ROWS))
    """Leave out the rows of others."""
    photos_per_class: tuple[int, ...] = (10, 50, 0)
    """Leave out the rows of others; 0 is all."""
    folder: Path = FOLDER
    results: Path = RESULTS


@dataclass(frozen=True, kw_only=True)
class Cell:
    photo_set: str
    photos_per_class: int
    seed: int
    recipe: str
    architecture: str
    image_size_px: int
    epochs: int

    @property
    def key(self) -> str:
        """Return what the cell is called in the result file."""
        photos = f"{self.photo_set}, {self.photos_per_class or 'all'} a class"
        network = f"{self.architecture}, {self.image_size_px} px, {self.epochs} epochs"
        return f"{photos}; {network}; {self.recipe}; seed {self.seed}"


def cells(command: Command) -> Iterator[Cell]:
    """Yield the cells, those that tell most first."""
    for seed in range(command.seeds):
        for photo_set, photos_per_class in ROWS:
            if (
                photo_set not in command.photo_sets
                or photos_per_class not in command.photos_per_class
            ):
                continue
            for recipe in command.recipes:
                yield Cell(
                    photo_set=photo_set, photos_per_class=photos_per_class, seed=seed, recipe=recipe,
                    architecture=command.architecture, image_size_px=command.image_size_px,
                    epochs=command.epochs,
                )  # fmt: skip


def config_of(cell: Cell, folder: Path) -> TrainConfig:
    """Return the settings of headswap's recipe, or for others' those that say which photos and network."""
    config = TrainConfig(
        data=draw(
            cell.photo_set, photos_per_class=cell.photos_per_class, seed=cell.seed, folder=folder
        ),
        architecture=cell.architecture, weights="embedded", image_size_px=cell.image_size_px,
        resize_ratio=1.0, epochs=cell.epochs, seed=cell.seed,
        out=folder / "runs" / cell.key.replace(", ", "-").replace("; ", "_").replace(" ", "-"),
    )  # fmt: skip
    return replace(config, **SETTINGS.get(cell.recipe, {}))


def measure(cell: Cell, folder: Path) -> dict[str, Any]:
    """Return the cell's test accuracy, 0..1, the photos and the seconds of training."""
    config = config_of(cell, folder)
    photos = read_data(config)
    began = time.perf_counter()
    is_ours = cell.recipe in SETTINGS
    network = (
        train_by_headswap(config) if is_ours else train_by(RECIPES[cell.recipe], config, photos)
    )
    training_s = time.perf_counter() - began
    return {
        "accuracy": round(accuracy_on(network, photos, "test", config), 4),
        "training_s": round(training_s, 1),
        "train_n": len(photos.of("train")),
        "test_n": len(photos.of("test")),
    }


def train_by_headswap(config: TrainConfig) -> Network:
    """Return the network that `headswap train` keeps; an interrupted run goes on."""
    run = Run(folder=config.out)
    train(replace(config, resume=run.config_path.exists()))
    return load_network(run)


def train_by(recipe: Recipe, config: TrainConfig, photos: PhotoSet) -> Network:
    """Return the network that another's recipe leaves."""
    limit_torch_threads()
    torch.manual_seed(config.seed)
    spec = preprocessing_of(config)
    network, _ = make_starting_network(
        architecture=config.architecture,
        weights="embedded",
        class_count=len(photos.class_names),
        preprocessing=spec,
    )
    views = TrainingPhotos(
        photos.of("train"), spec, crop_area_min=recipe.crop_area_min, augment=recipe.augment
    )

    def batches(epoch: int) -> Iterator[Batch]:
        return views.batches(batch_size=recipe.batch_size, seed=config.seed, epoch=epoch)

    recipe.train(
        Learner(
            network=network,
            batches=batches,
            steps_per_epoch=max(1, round(len(views.photos) / recipe.batch_size)),
            epochs=config.epochs + 1,
            class_count=len(photos.class_names),
            validate=lambda: accuracy_on(network, photos, "val", config),
        )
    )
    return network


@torch.inference_mode()
def accuracy_on(network: Network, photos: PhotoSet, split: Split, config: TrainConfig) -> float:
    """Return the share of the split's photos, pixels as in serving, that the network gets right."""
    network.eval()
    pixels = served_pixels(photos.of(split), preprocessing_of(config), batch_size=64)
    hits = [(network.logits(batch).argmax(1) == labels).float() for batch, labels in pixels]
    return torch.cat(hits).mean().item()


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    results = {"cells": {}, **read(command.results)}
    for cell in cells(command):
        if cell.key in results["cells"]:
            continue
        figures = measure(cell, command.folder)
        results["cells"][cell.key] = {**asdict(cell), **figures}
        results["machine"] = machine.describe()
        write(command.results, results)
        sys.stderr.write(f"{cell.key}: {figures}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
