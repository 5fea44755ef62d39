"""Tables of the training benchmarks in docs/benchmarks.md, between the marks of each name.

    python -m benchmarks.training.tables

A test holds the tables equal to the files in benchmarks/results. comparison-*.json are the comparison.json files that
`headswap compare` left, measured on all clothing photos and on 30 per class:

    headswap compare --data CLOTHING --models resnet18 --weights embedded --seeds 1 --image-size-px 96 \\
        --head-epochs 3 --epochs 6
    headswap compare --data CLOTHING --models resnet18 efficientnet_b0 --weights embedded none --image-size-px 96 \\
        --head-epochs 10 --epochs 5 --photos-per-class 30

The second was measured before `headswap compare` gave every candidate the same number of epochs; the table shows how
many each had.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import document
from benchmarks.measurements import result_file
from benchmarks.training import (
    accuracy_table,
    backbones,
    batchnorm,
    features,
    speed,
    unknown,
    unlabeled_table,
)
from training.compare.table import markdown_table, read_comparison
from training.fit.batches import FEATURE_VIEWS

COMPARISONS = (result_file("comparison-all"), result_file("comparison-few"))
ARCHITECTURE = "resnet18 "
"""Prefix of the keys that the speed table shows."""
NAMES = {
    "headswap": "**headswap**",
    "torchvision": "torchvision's recipe",
    "timm": "timm",
}


def comparison_tables() -> str:
    """Return the tables of COMPARISONS as Markdown."""
    return "\n".join(
        markdown_table(read_comparison(json.loads(path.read_text()))) for path in COMPARISONS
    )


def accuracy_tables() -> str:
    """Return the tables of accuracy.json as Markdown."""
    return accuracy_table.tables(json.loads(result_file("accuracy").read_text()))


def unlabeled_table_text() -> str:
    """Return the table of unlabeled.json as Markdown."""
    return unlabeled_table.table(json.loads(result_file("unlabeled").read_text()))


def batchnorm_table() -> str:
    """Return the table of batchnorm.json as Markdown."""
    return batchnorm.table(json.loads(batchnorm.RESULTS.read_text()))


def unknown_table() -> str:
    """Return the table of unknown.json as Markdown."""
    return unknown.table(json.loads(result_file("unknown").read_text()))


def backbones_tables() -> str:
    """Return the tables of backbones.json as Markdown."""
    return backbones.tables(json.loads(backbones.RESULTS.read_text()))


def speed_table() -> str:
    """Return the table of training.json and the sentence about features.json as Markdown."""
    results = json.loads(speed.RESULTS.read_text())
    keys = sorted((key for key in results if key.startswith(ARCHITECTURE)), reverse=True)
    table = _speed_table({key: results[key] for key in keys})
    return f"{table}\n{_describe_features(json.loads(features.RESULTS.read_text()))}\n"


TABLES: dict[str, Callable[[], str]] = {
    "training": speed_table,
    "comparison": comparison_tables,
    "accuracy": accuracy_tables,
    "unknown": unknown_table,
    "unlabeled": unlabeled_table_text,
    "batchnorm": batchnorm_table,
    "backbones": backbones_tables,
}
"""The text between the marks of each name."""


def _speed_table(results: Mapping[str, Any]) -> str:
    columns = [
        (entry["photos_per_s"], epoch)
        for entry in results.values()
        for epoch in ("first_epoch", "later_epochs")
    ]
    heads = [
        f"{key.removeprefix(ARCHITECTURE)}, {epoch}"
        for key in results
        for epoch in ("first epoch", "later epochs")
    ]
    lines = [f"| ResNet-18, photos/s | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name, shown in NAMES.items():
        cells = [_speed_cell(speeds, name, epoch) for speeds, epoch in columns]
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _describe_conditions(results), ""])


def _speed_cell(speeds: Mapping[str, Mapping[str, float]], name: str, epoch: str) -> str:
    speed_text = f"{speeds[name][epoch]:.1f}"
    if name == "headswap":
        return speed_text
    ratio = speeds["headswap"][epoch] / speeds[name][epoch]
    return f"{speed_text} (headswap: {ratio:.2f} times)"


def _describe_conditions(results: Mapping[str, Any]) -> str:
    first = next(iter(results.values()))
    rounds = ", ".join(
        f"{len(entry['rounds'])} of {key.removeprefix(ARCHITECTURE)}"
        for key, entry in results.items()
    )
    return (
        f"{first['machine']['processor']}, {first['machine']['cores']} cores, {first['date']}; 224 px, batches of 32 "
        "photos, float32, decoding included. Medians over rounds, in each of which every candidate starts anew: "
        f"{rounds}."
    )


def _describe_features(entry: Mapping[str, Any]) -> str:
    accuracy, ratio = entry["accuracy"], entry["epoch_speedup"]
    return (
        f"With `--freeze {features.FREEZE}`, every epoch after the first is {ratio:.0f} times as fast as passing the "
        f"photos through the backbone again, and trains on {FEATURE_VIEWS} views of each photo instead of one "
        f"({entry['architecture']}, {entry['image_size_px']} px, {entry['train_n']} photos). After the same number of "
        f"views, test accuracy is {accuracy['cached']:.3f} and {accuracy['recomputed']:.3f} (means of "
        f"{len(entry['runs']['cached'])} seeds, n = {entry['test_n']})."
    )


if __name__ == "__main__":
    for name, table in TABLES.items():
        document.put(name, table())
