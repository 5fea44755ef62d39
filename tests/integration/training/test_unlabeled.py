"""A run with unlabeled photos: they are trained on, and a resumed run equals the uninterrupted one."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.config import TrainConfig
from training.errors import ConfigError, InterruptedRunError
from training.evaluation.evaluation import evaluate
from training.fit import pseudo_labels
from training.fit.trainer import train
from training.run import Run

Config = Callable[..., TrainConfig]


@pytest.fixture
def config(
    small_config: Config, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainConfig:
    """Return a run of two labelled photos per class and 14 unlabeled ones, whose pseudo-labels are all used."""
    monkeypatch.setattr(pseudo_labels, "CONFIDENCE_MIN", 0.0)
    return small_config(
        photos_per_class=2, unlabeled=small_photos / "train", batch_size=2, epochs=3, mix="mixup"
    )


def averaged(run: Run) -> dict[str, torch.Tensor]:
    average: dict[str, torch.Tensor] = torch.load(run.last_path, weights_only=True)["average"]
    assert average
    return average


def is_same(run: Run, other: Run) -> bool:
    pairs = zip(averaged(run).values(), averaged(other).values(), strict=True)
    return all(torch.equal(one, two) for one, two in pairs)


def test_resumed_with_unlabeled_photos_is_uninterrupted(
    config: TrainConfig,
    tmp_path: Path,
    interrupted_at: Callable[..., AbstractContextManager[None]],
) -> None:
    whole = Run(folder=train(config))
    assert whole.data()["unlabeled_count"] == 14
    interrupted = replace(config, out=tmp_path / "interrupted")
    # The head's epoch is 12 steps of 2 views, the others 2 of 2 labelled and 8 unlabeled photos.
    with interrupted_at(16), pytest.raises(InterruptedRunError):
        train(interrupted)
    assert len(Run(folder=interrupted.out).history()) == 2
    assert is_same(Run(folder=train(replace(interrupted, resume=True))), whole)


def test_confident_pseudo_labels_are_trained_on(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    confident = Run(folder=train(config))
    monkeypatch.setattr(pseudo_labels, "CONFIDENCE_MIN", 1.1)
    unsure = Run(folder=train(replace(config, out=tmp_path / "unsure")))
    assert not is_same(confident, unsure)
    assert confident.history()[0]["train_loss"] == unsure.history()[0]["train_loss"]
    assert confident.history()[1]["train_loss"] > unsure.history()[1]["train_loss"]


def test_a_run_is_evaluated_without_its_unlabeled_photos(
    config: TrainConfig, small_photos: Path, tmp_path: Path
) -> None:
    more = shutil.copytree(small_photos / "train", tmp_path / "more")
    run_folder = train(replace(config, unlabeled=more, epochs=1))
    shutil.rmtree(more)
    assert evaluate(run_folder).n == 9


def test_a_frozen_backbone_cannot_be_trained_on_them(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="--freeze backbone"):
        replace(config, freeze="backbone")
