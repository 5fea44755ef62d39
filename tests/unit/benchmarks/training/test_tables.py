"""The training tables of docs/benchmarks.md, and what its text says about them."""

import json

import pytest

from benchmarks import document
from benchmarks.training import tables
from training.compare.comparison import Row
from training.compare.table import read_comparison


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_tables_are_those_of_the_result_files(name: str) -> None:
    assert document.quoted(name) == tables.TABLES[name]()


def test_the_text_about_the_comparison_is_true() -> None:
    full, head = rows_of("all")
    assert (full.freeze, head.freeze) == ("none", "backbone")
    assert full.epochs + full.head_epochs == head.head_epochs
    assert round(100 * (full.mean - head.mean)) == 18
    few = {(row.architecture, row.weights, row.freeze): row.mean for row in rows_of("few")}
    for architecture in ("resnet18", "efficientnet_b0"):
        pretrained = few[architecture, "embedded", "none"]
        assert 0.015 < pretrained - few[architecture, "embedded", "backbone"] < 0.03
        assert pretrained - few[architecture, "none", "none"] > 0.35


def rows_of(photos: str) -> list[Row]:
    path = next(path for path in tables.COMPARISONS if photos in path.name)
    return read_comparison(json.loads(path.read_text())).rows
