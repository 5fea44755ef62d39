"""What unlabeled photos add to a few labelled ones: FixMatch against labels alone, over seeds.

python -m benchmarks.unlabeled --data CLOTHING && python -m benchmarks.training_tables

Learns from a few labelled photos of each class, once by themselves and once with the rest of train as photos without
labels. Each seed draws other photos. A finished run is kept: stopped and started again, it goes on.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from benchmarks.results import told_shares
from training.compare.comparison import judged_run
from training.config import TEACHER_DECAY, TrainConfig, quick
from training.run import write_json

RESULTS = Path(__file__).with_name("unlabeled.json")


@dataclass(frozen=True, kw_only=True)
class Command:
    data: Path
    """Folder with train/, val/ and test/."""
    out: Path = Path("runs/unlabeled")
    results: Path = RESULTS
    labels_per_class: int = 10
    seeds: int = 3
    image_size_px: int = 64
    head_epochs: int = 20
    epochs: int = 3
    """Of everything, with unlabeled photos: each passes all of them once."""
    epochs_alone: int = 18
    """Of everything, with labels alone: on clothing as many steps."""
    backbone_lr_ratio: float = 0.2


def candidates(command: Command) -> dict[str, TrainConfig]:
    """Return the flags of each way to learn; seed and folder are still those of the first run.

    All are judged as averaged weights and learn from labels that are not smoothed: --unlabeled
    brings both along, and without them the labels alone would do worse.
    """
    labels_only = replace(
        quick(),
        data=command.data,
        architecture="resnet18",
        weights="embedded",
        image_size_px=command.image_size_px,
        photos_per_class=command.labels_per_class,
        label_smoothing=0.0,
        ema_decay=TEACHER_DECAY,
        backbone_lr_ratio=command.backbone_lr_ratio,
        head_epochs=command.head_epochs,
        epochs=command.epochs_alone,
    )
    return {
        "labels alone, head": replace(labels_only, freeze="body"),
        "labels alone, everything": labels_only,
        "labels and unlabeled photos": replace(
            labels_only, epochs=command.epochs, unlabeled=command.data / "train"
        ),
    }


def folder_of(command: Command, name: str, seed: int) -> Path:
    return command.out / f"{name.replace(',', '').replace(' ', '-')}-{seed}"


def main(command: Command) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in range(command.seeds):
        for name, config in candidates(command).items():
            result = judged_run(replace(config, seed=seed, out=folder_of(command, name, seed)))
            found.setdefault(name, []).append(result)
            print(f"{name}, seed {seed}: {result['accuracy']:.3f}", flush=True)
    results = {
        "labels_per_class": command.labels_per_class,
        "image_size_px": command.image_size_px,
        "test_n": found["labels alone, head"][0]["test_n"],
        "unlabeled_n": found["labels and unlabeled photos"][0]["unlabeled_n"],
        "accuracies": {name: [one["accuracy"] for one in all_] for name, all_ in found.items()},
    }
    write_json(command.results, results)
    print(table(results))


def table(results: Mapping[str, Any]) -> str:
    """Return results as Markdown, best first."""
    rows = sorted(results["accuracies"].items(), key=lambda row: -statistics.fmean(row[1]))
    lines = ["| learns from | test accuracy |", "|---|---|"]
    for name, accuracies in rows:
        told = told_shares(accuracies)
        told = f"**{told}**" if name == rows[0][0] else told
        lines.append(f"| {name} | {told} |")
    lines += [
        "",
        f"ResNet-18 from the embedded weights at {results['image_size_px']} px, {results['labels_per_class']} "
        f"labelled photos of each class, {results['unlabeled_n']} unlabeled ones, {results['test_n']} to test on; "
        f"mean ± standard deviation of {len(rows[0][1])} draws.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Command, description=__doc__))
