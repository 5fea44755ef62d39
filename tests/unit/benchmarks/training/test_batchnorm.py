"""The gain from frozen BatchNorm statistics follows from the runs, which differ in nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.training import batchnorm
from benchmarks.training.batchnorm import Command, config_of, summarise, table


def test_the_gains_are_those_of_their_runs() -> None:
    for key, entry in json.loads(batchnorm.RESULTS.read_text()).items():
        assert entry["gain"] == summarise(entry["runs"]), key
        assert len(entry["runs"]["train"]) >= 3, key


def test_gains_are_taken_seed_by_seed() -> None:
    def runs(*accuracies: float) -> list[dict[str, float]]:
        names = ("test_accuracy", "val_accuracy", "last_val_accuracy", "last_val_loss", "test_n")
        return [dict.fromkeys(names, accuracy) for accuracy in accuracies]

    # The seeds are 20 points apart, the gains two.
    compared = {"train": runs(0.4, 0.6), "frozen": runs(0.45, 0.67)}
    gain = summarise(compared)
    assert gain["test_accuracy"] == {"mean": 6.0, "spread": 1.414}
    assert gain["last_val_loss"] == {"mean": 0.06, "spread": 0.014}
    size = {"image_size_px": 96, "head_epochs": 10, "epochs": 6}
    text = table({"resnet18, 30 photos per class": {**size, "gain": gain, "runs": compared}})
    row = "| resnet18, 30 photos per class | 96 px, 10 + 6 | 50.0 ± 14.1 % | 56.0 ± 15.6 % | +6.0 ± 1.4 | +6.0 ± 1.4 |"
    assert row in text


@pytest.mark.parametrize("seed", range(2))
def test_runs_differ_in_nothing_else(seed: int, tmp_path: Path) -> None:
    command = Command(data=tmp_path)
    trained, frozen = (config_of(command, 30, stats, seed=seed) for stats in ("train", "frozen"))
    assert trained.out != frozen.out
    assert replace(trained, out=frozen.out, batchnorm_stats="frozen") == frozen
