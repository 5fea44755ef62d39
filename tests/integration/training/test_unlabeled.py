"""A run with unlabeled photos: they are trained on where they help, and a resumed run equals the uninterrupted one."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.config import TrainConfig
from training.errors import ConfigError, InterruptedRunError
from training.evaluation.evaluation import evaluate
from training.fit.trainer import train
from training.run import Run
from training.unlabeled import selection

Config = Callable[..., TrainConfig]


@pytest.fixture
def config(
    small_config: Config, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainConfig:
    """Return a run of two labelled photos per class and 14 unlabeled ones, whose pseudo-labels are all used."""
    monkeypatch.setattr(selection, "is_helpful", lambda *_: True)
    monkeypatch.setattr(selection, "KEPT_SHARES", (1.0,))
    return small_config(
        photos_per_class=2, unlabeled=small_photos / "train", batch_size=4, epochs=3, mix="mixup"
    )


def weights(run: Run) -> dict[str, torch.Tensor]:
    network: dict[str, torch.Tensor] = torch.load(run.last_path, weights_only=True)["network"]
    assert network
    return network


def is_same(run: Run, other: Run) -> bool:
    pairs = zip(weights(run).values(), weights(other).values(), strict=True)
    return all(torch.equal(one, two) for one, two in pairs)


def test_resumed_with_unlabeled_photos_is_uninterrupted(
    config: TrainConfig,
    tmp_path: Path,
    interrupted_at: Callable[..., AbstractContextManager[None]],
) -> None:
    whole = Run(folder=train(config))
    assert whole.data()["unlabeled_count"] == 14
    # The head's epoch has 24 views of labelled photos and 28 of others, so 13 steps; the next ones have 6.
    statistics = [line["pseudo_labels"] for line in whole.history()]
    assert [(each["used"], sum(each["per_class"])) for each in statistics] == [(14, 14)] * 4
    interrupted = replace(config, out=tmp_path / "interrupted")
    with interrupted_at(21), pytest.raises(InterruptedRunError):
        train(interrupted)
    assert len(Run(folder=interrupted.out).history()) == 2
    assert is_same(Run(folder=train(replace(interrupted, resume=True))), whole)


def test_where_they_do_not_help_the_run_is_that_of_the_labels_alone(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helped = Run(folder=train(config))
    monkeypatch.undo()
    monkeypatch.setattr(selection, "is_helpful", lambda *_: False)
    kept = Run(folder=train(replace(config, out=tmp_path / "kept")))
    alone = Run(folder=train(replace(config, out=tmp_path / "alone", unlabeled=None)))
    assert is_same(kept, alone)
    assert not is_same(kept, helped)
    assert kept.history()[0]["pseudo_labels"]["helps"] is False
    assert "pseudo_labels" not in alone.history()[0]


def test_a_run_is_evaluated_without_its_unlabeled_photos(
    config: TrainConfig, small_photos: Path, tmp_path: Path
) -> None:
    more = shutil.copytree(small_photos / "train", tmp_path / "more")
    run_folder = train(replace(config, unlabeled=more, epochs=1))
    shutil.rmtree(more)
    assert evaluate(run_folder).n == 9


def test_a_frozen_backbone_s_head_is_trained_on_them(config: TrainConfig, tmp_path: Path) -> None:
    with_them, alone = (
        Run(folder=train(replace(config, freeze="backbone", unlabeled=unlabeled, out=out)))
        for unlabeled, out in ((config.unlabeled, tmp_path / "with"), (None, tmp_path / "alone"))
    )
    one, two = load_file(with_them.best_path), load_file(alone.best_path)
    assert [name for name in one if not torch.equal(one[name], two[name])] == [
        "classifier.3.bias",
        "classifier.3.weight",
    ]


def test_random_weights_cannot_label_them(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="--weights none"):
        replace(config, weights="none")
