"""Puts the tables of comparison-*.json, unlabeled.json and batchnorm.json between README.md's marks.

A test holds them equal.

The first files are what headswap compare leaves as comparison.json, on all clothing photos and on 30 of each class:

headswap compare --data CLOTHING --models resnet18 --weights embedded --seeds 1 --image-size-px 96 \
    --head-epochs 3 --epochs 6
headswap compare --data CLOTHING --models resnet18 efficientnet_b0 --weights embedded none --image-size-px 96 \
    --head-epochs 10 --epochs 5 --photos-per-class 30
python -m benchmarks.training_tables

The second was measured before compare gave all contenders equally many epochs: the table says what each had.
"""

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks import batchnorm, readme, unlabeled
from training.compare.table import markdown_table, read_comparison

RESULTS = tuple(Path(__file__).with_name(f"comparison-{photos}.json") for photos in ("all", "few"))


def compared() -> str:
    """Return the tables of RESULTS as Markdown."""
    return "\n".join(
        markdown_table(read_comparison(json.loads(path.read_text()))) for path in RESULTS
    )


def learned_without_labels() -> str:
    """Return the table of benchmarks/unlabeled.json as Markdown."""
    return unlabeled.table(json.loads(unlabeled.RESULTS.read_text()))


def statistics_still() -> str:
    """Return the table of benchmarks/batchnorm.json as Markdown."""
    return batchnorm.table(json.loads(batchnorm.RESULTS.read_text()))


TABLES: dict[str, Callable[[], str]] = {
    "comparison": compared,
    "unlabeled": learned_without_labels,
    "batchnorm": statistics_still,
}
"""What stands between the marks of each name."""


if __name__ == "__main__":
    for name, table in TABLES.items():
        readme.put(name, table())
