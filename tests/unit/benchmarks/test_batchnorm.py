"""What still BatchNorm statistics are worth: figures follow from the runs, which differ in nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import batchnorm
from benchmarks.batchnorm import Command, config_of, summarise, table


def test_the_gains_are_those_of_their_runs() -> None:
    for key, found in json.loads(batchnorm.RESULTS.read_text()).items():
        assert found["gain"] == summarise(found["runs"]), key
        assert len(found["runs"]["learning"]) >= 3, key


def test_gains_are_taken_seed_by_seed() -> None:
    def runs(*accuracies: float) -> list[dict[str, float]]:
        names = ("test_accuracy", "val_accuracy", "last_val_accuracy", "last_val_loss", "test_n")
        return [dict.fromkeys(names, accuracy) for accuracy in accuracies]

    # The seeds lie 20 points apart, the gains two.
    found = {"learning": runs(0.4, 0.6), "none": runs(0.45, 0.67)}
    gain = summarise(found)
    assert gain["test_accuracy"] == {"mean": 6.0, "spread": 1.414}
    assert gain["last_val_loss"] == {"mean": 0.06, "spread": 0.014}
    size = {"image_size_px": 96, "head_epochs": 10, "epochs": 6}
    told = table({"resnet18, 30 photos of a class": {**size, "gain": gain, "runs": found}})
    row = "| resnet18, 30 photos of a class | 96 px, 10 + 6 | 50.0 ± 14.1 % | 56.0 ± 15.6 % | +6.0 ± 1.4 | +6.0 ± 1.4 |"
    assert row in told


@pytest.mark.parametrize("seed", range(2))
def test_runs_differ_in_nothing_else(seed: int, tmp_path: Path) -> None:
    command = Command(data=tmp_path)
    moving, still = (config_of(command, 30, choice, seed=seed) for choice in ("learning", "none"))
    assert moving.out != still.out
    assert replace(moving, out=still.out, moving_batchnorm="none") == still
