"""Gain from unlabeled photos beside a few labelled ones, compared with labels alone, over seeds.

python -m benchmarks.training.unlabeled --data CLOTHING && python -m benchmarks.training.tables

Trains on a few labelled photos of each class, once on them alone and once with the rest of train as unlabeled photos.
Each seed draws other photos. Finished runs are kept, so that an interrupted call can be repeated.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from benchmarks.measurements import result_file, write
from benchmarks.summary import format_percent
from training.compare.comparison import evaluated_run
from training.config import TrainConfig

RESULTS = result_file("unlabeled")


@dataclass(frozen=True, kw_only=True)
class Command:
    data: Path
    """Folder with train/, val/ and test/."""
    out: Path = Path("runs/unlabeled")
    results: Path = RESULTS
    labels_per_class: int = 10
    seeds: int = 5
    architecture: str = "efficientnet_lite1"
    image_size_px: int = 224


def candidates(command: Command) -> dict[str, TrainConfig]:
    """Return the options of each candidate, without its seed and run folder."""
    labels_only = TrainConfig(
        data=command.data,
        architecture=command.architecture,
        weights="embedded",
        image_size_px=command.image_size_px,
        photos_per_class=command.labels_per_class,
    )
    unlabeled = command.data / "train"
    return {
        "labels alone, head": replace(labels_only, freeze="backbone"),
        "labels alone, whole network": labels_only,
        "labels and unlabeled photos, head": replace(
            labels_only, freeze="backbone", unlabeled=unlabeled
        ),
        "labels and unlabeled photos, whole network": replace(labels_only, unlabeled=unlabeled),
    }


def folder_of(command: Command, name: str, seed: int) -> Path:
    return command.out / f"{name.replace(',', '').replace(' ', '-')}-{seed}"


def main(command: Command) -> None:
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in range(command.seeds):
        for name, config in candidates(command).items():
            result = evaluated_run(replace(config, seed=seed, out=folder_of(command, name, seed)))
            runs.setdefault(name, []).append(result)
            print(f"{name}, seed {seed}: {result['accuracy']:.3f}", flush=True)
    results = {
        "architecture": command.architecture,
        "labels_per_class": command.labels_per_class,
        "image_size_px": command.image_size_px,
        "test_n": runs["labels alone, head"][0]["test_n"],
        "unlabeled_n": runs["labels and unlabeled photos, head"][0]["unlabeled_n"],
        "accuracies": {
            name: [run["accuracy"] for run in repeats] for name, repeats in runs.items()
        },
    }
    write(command.results, results)
    print(table(results))


def table(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown, the best first."""
    rows = sorted(results["accuracies"].items(), key=lambda row: -statistics.fmean(row[1]))
    lines = ["| trained on | test accuracy |", "|---|---|"]
    for name, accuracies in rows:
        cell = format_percent(accuracies)
        lines.append(f"| {name} | {f'**{cell}**' if name == rows[0][0] else cell} |")
    lines += [
        "",
        f"{results['architecture']} from the embedded weights at {results['image_size_px']} px, "
        f"{results['labels_per_class']} labelled photos of each class, "
        f"{results['unlabeled_n']} unlabeled ones, {results['test_n']} test photos; "
        f"mean ± standard deviation of {len(rows[0][1])} draws.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Command, description=__doc__))
