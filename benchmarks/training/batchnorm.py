"""Gain from frozen BatchNorm statistics while the whole network is trained: --batchnorm-stats frozen against train.

    python -m benchmarks.training.batchnorm --data CLOTHING --photos-per-class 10 30
    python -m benchmarks.training.batchnorm --data CLOTHING --photos-per-class 0 --head-epochs 3 --epochs 3
    python -m benchmarks.training.tables

Both are trained on the same photos, in the same order, from the same trained head; each seed draws other photos.
Finished runs are kept, so that an interrupted call can be repeated. Writes benchmarks/results/batchnorm.json, one key
per network and number of photos.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from benchmarks.measurements import merge, read, result_file
from benchmarks.summary import format_percent, standard_deviation
from training.compare.comparison import evaluated_run
from training.config import BatchNormStats, TrainConfig, quick
from training.run import Run

RESULTS = result_file("batchnorm")
COMPARED: tuple[BatchNormStats, ...] = ("train", "frozen")


@dataclass(frozen=True, kw_only=True)
class Command:
    data: Path
    """Folder with train/, val/ and test/."""
    out: Path = Path("runs/batchnorm")
    results: Path = RESULTS
    architecture: str = "resnet18"
    photos_per_class: tuple[int, ...] = (10, 30)
    """Photos per class to train on; 0 takes all."""
    seeds: int = 3
    image_size_px: int = 96
    head_epochs: int = 10
    epochs: int = 6
    """Epochs of the whole network."""


def key_of(command: Command, photos_per_class: int) -> str:
    return f"{command.architecture}, {photos_per_class or 'all'} photos per class"


def config_of(
    command: Command, photos_per_class: int, stats: BatchNormStats, *, seed: int
) -> TrainConfig:
    """Return the options of one run: the quick preset with what is compared, and its size."""
    name = f"{command.architecture}-{photos_per_class}-{stats}-{seed}"
    return replace(
        quick(),
        data=command.data,
        out=command.out / name,
        architecture=command.architecture,
        weights="embedded",
        photos_per_class=photos_per_class,
        image_size_px=command.image_size_px,
        batchnorm_stats=stats,
        head_epochs=command.head_epochs,
        epochs=command.epochs,
        seed=seed,
    )


def measure(config: TrainConfig) -> dict[str, float]:
    """Return the best network's accuracies on val and test, 0..1, and the last epoch's loss and accuracy on val."""
    result = evaluated_run(config)
    history = Run(folder=config.out).history()
    last_epoch = history[-1]
    return {
        "test_accuracy": round(result["accuracy"], 4),
        "val_accuracy": max(epoch["val_accuracy"] for epoch in history),
        "last_val_accuracy": last_epoch["val_accuracy"],
        "last_val_loss": last_epoch["val_loss"],
        "train_n": result["train_n"],
        "test_n": result["test_n"],
    }


def summarise(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Return mean and standard deviation of the gains of `frozen` over `train` by seed, in points or of the loss."""
    scales = {
        "test_accuracy": 100,
        "val_accuracy": 100,
        "last_val_accuracy": 100,
        "last_val_loss": 1,
    }
    gains = {}
    for name, scale in scales.items():
        differences = [
            scale * (frozen[name] - trained[name])
            for trained, frozen in zip(runs["train"], runs["frozen"], strict=True)
        ]
        gains[name] = {
            "mean": round(statistics.fmean(differences), 3),
            "spread": round(standard_deviation(differences), 3),
        }
    return gains


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    for photos_per_class in command.photos_per_class:
        key = key_of(command, photos_per_class)
        runs: dict[str, list[dict[str, float]]] = {stats: [] for stats in COMPARED}
        for seed in range(command.seeds):
            for stats in COMPARED:
                figures = measure(config_of(command, photos_per_class, stats, seed=seed))
                runs[stats].append(figures)
                sys.stderr.write(f"{key}, {stats}, seed {seed}: {figures}\n")
            entry = {
                "image_size_px": command.image_size_px,
                "head_epochs": command.head_epochs,
                "epochs": command.epochs,
                "gain": summarise(runs),
                "runs": runs,
            }
            merge(key, entry, command.results)
    sys.stdout.write(table(read(command.results)))
    return 0


def table(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown, one row per key."""
    lines = [
        "| network and photos | image, epochs | `train` | `frozen` | gain on test | gain on val |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for key, entry in results.items():
        cells = [
            format_percent([run["test_accuracy"] for run in entry["runs"][stats]])
            for stats in COMPARED
        ]
        gains = [_format_gain(entry["gain"][name]) for name in ("test_accuracy", "val_accuracy")]
        size = f"{entry['image_size_px']} px, {entry['head_epochs']} + {entry['epochs']}"
        lines.append(f"| {key} | {size} | {' | '.join([*cells, *gains])} |")
    seeds = {len(entry["runs"]["frozen"]) for entry in results.values()}
    test_n = {run["test_n"] for entry in results.values() for run in entry["runs"]["frozen"]}
    return "\n".join(
        [
            *lines,
            "",
            f"Test accuracy, mean ± standard deviation of {_format_counts(seeds)} seeds, {_format_counts(test_n)} "
            "photos; gains in points, seed by seed. Embedded weights; epochs of the head, then of the whole network.",
            "",
        ]
    )


def _format_gain(gain: Mapping[str, float]) -> str:
    return f"{gain['mean']:+.1f} ± {gain['spread']:.1f}"


def _format_counts(counts: set[Any]) -> str:
    return " or ".join(str(count) for count in sorted(counts))


if __name__ == "__main__":
    sys.exit(main())
