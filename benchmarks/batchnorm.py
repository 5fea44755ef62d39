"""What still BatchNorm statistics are worth while everything learns: --moving-batchnorm none against learning.

    python -m benchmarks.batchnorm --data CLOTHING --photos-per-class 10 30
    python -m benchmarks.batchnorm --data CLOTHING --photos-per-class 0 --head-epochs 3 --epochs 3
    python -m benchmarks.training_tables

Both learn from the same photos, in the same order, behind the same head; each seed draws others. A finished run is
kept: stopped and started again, it goes on. Writes benchmarks/batchnorm.json, a key for each network and number of
photos.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from benchmarks.results import merge, read, spread, told_shares
from training.compare.comparison import judged_run
from training.config import MovingBatchNorm, TrainConfig, quick
from training.run import Run

RESULTS = Path(__file__).with_name("batchnorm.json")
# While everything learns, `all` moves what `learning` does.
COMPARED: tuple[MovingBatchNorm, ...] = ("learning", "none")


@dataclass(frozen=True, kw_only=True)
class Command:
    data: Path
    """Folder with train/, val/ and test/."""
    out: Path = Path("runs/batchnorm")
    results: Path = RESULTS
    architecture: str = "resnet18"
    photos_per_class: tuple[int, ...] = (10, 30)
    """To learn from; 0 takes all."""
    seeds: int = 3
    image_size_px: int = 96
    head_epochs: int = 10
    epochs: int = 6
    """Of everything."""


def key_of(command: Command, photos_per_class: int) -> str:
    return f"{command.architecture}, {photos_per_class or 'all'} photos of a class"


def config_of(
    command: Command, photos_per_class: int, moving: MovingBatchNorm, *, seed: int
) -> TrainConfig:
    """Return the flags of one run: the quick preset's, but for what is compared and its size."""
    name = f"{command.architecture}-{photos_per_class}-{moving}-{seed}"
    return replace(
        quick(),
        data=command.data,
        out=command.out / name,
        architecture=command.architecture,
        weights="embedded",
        photos_per_class=photos_per_class,
        image_size_px=command.image_size_px,
        moving_batchnorm=moving,
        head_epochs=command.head_epochs,
        epochs=command.epochs,
        seed=seed,
    )


def measure(config: TrainConfig) -> dict[str, float]:
    """Return the kept network's accuracies on val and test, 0..1, and the last epoch's loss and accuracy on val."""
    result = judged_run(config)
    history = Run(folder=config.out).history()
    last = history[-1]
    return {
        "test_accuracy": round(result["accuracy"], 4),
        "val_accuracy": max(line["val_accuracy"] for line in history),
        "last_val_accuracy": last["val_accuracy"],
        "last_val_loss": last["val_loss"],
        "train_n": result["train_n"],
        "test_n": result["test_n"],
    }


def summarise(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Return what `none` gains over `learning`, seed by seed: mean and standard deviation, in points or of the loss."""
    scales = {
        "test_accuracy": 100,
        "val_accuracy": 100,
        "last_val_accuracy": 100,
        "last_val_loss": 1,
    }
    gains = {}
    for name, scale in scales.items():
        differences = [
            scale * (still[name] - moving[name])
            for moving, still in zip(runs["learning"], runs["none"], strict=True)
        ]
        gains[name] = {
            "mean": round(statistics.fmean(differences), 3),
            "spread": round(spread(differences), 3),
        }
    return gains


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    for photos_per_class in command.photos_per_class:
        key = key_of(command, photos_per_class)
        runs: dict[str, list[dict[str, float]]] = {moving: [] for moving in COMPARED}
        for seed in range(command.seeds):
            for moving in COMPARED:
                runs[moving].append(
                    measure(config_of(command, photos_per_class, moving, seed=seed))
                )
                sys.stderr.write(f"{key}, {moving}, seed {seed}: {runs[moving][-1]}\n")
            found = {
                "image_size_px": command.image_size_px,
                "head_epochs": command.head_epochs,
                "epochs": command.epochs,
                "gain": summarise(runs),
                "runs": runs,
            }
            merge(key, found, command.results)
    sys.stdout.write(table(read(command.results)))
    return 0


def table(results: Mapping[str, Any]) -> str:
    """Return results as Markdown, a row a key."""
    lines = [
        "| network and photos | image, epochs | statistics move | stand still | gain on test | gain on val |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for key, found in results.items():
        cells = [
            told_shares([run["test_accuracy"] for run in found["runs"][moving]])
            for moving in COMPARED
        ]
        gains = [_gain(found["gain"][name]) for name in ("test_accuracy", "val_accuracy")]
        size = f"{found['image_size_px']} px, {found['head_epochs']} + {found['epochs']}"
        lines.append(f"| {key} | {size} | {' | '.join([*cells, *gains])} |")
    seeds = {len(found["runs"]["none"]) for found in results.values()}
    test_n = {run["test_n"] for found in results.values() for run in found["runs"]["none"]}
    return "\n".join(
        [
            *lines,
            "",
            f"Test accuracy, mean ± standard deviation of {_told(seeds)} seeds, {_told(test_n)} photos; gains in "
            "points, seed by seed. Embedded weights; epochs of the head, then of everything.",
            "",
        ]
    )


def _gain(gain: Mapping[str, float]) -> str:
    return f"{gain['mean']:+.1f} ± {gain['spread']:.1f}"


def _told(counts: set[Any]) -> str:
    return " or ".join(str(count) for count in sorted(counts))


if __name__ == "__main__":
    sys.exit(main())
