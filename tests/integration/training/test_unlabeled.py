"""A run with unlabeled photos: they teach it, and resumed it is the uninterrupted one."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.config import TrainConfig
from training.errors import ConfigError, DataError, InterruptedRunError
from training.evaluation.evaluation import evaluate
from training.fit import pseudo_labels
from training.fit.trainer import train
from training.run import Run

Config = Callable[..., TrainConfig]


@pytest.fixture
def config(
    small_config: Config, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainConfig:
    """Two labelled photos of each class, the other 14 unlabeled; a teacher that is believed."""
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
    cut = replace(config, out=tmp_path / "cut")
    # The head's epoch is 12 steps of 2 views, the others 2 of 2 labelled and 8 unlabeled photos.
    with interrupted_at(16), pytest.raises(InterruptedRunError):
        train(cut)
    assert len(Run(folder=cut.out).history()) == 2
    assert is_same(Run(folder=train(replace(cut, resume=True))), whole)


def test_what_the_teacher_is_sure_of_is_learned(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    believing = Run(folder=train(config))
    monkeypatch.setattr(pseudo_labels, "CONFIDENCE_MIN", 1.1)
    doubting = Run(folder=train(replace(config, out=tmp_path / "doubting")))
    assert not is_same(believing, doubting)
    assert believing.history()[0]["train_loss"] == doubting.history()[0]["train_loss"]
    assert believing.history()[1]["train_loss"] > doubting.history()[1]["train_loss"]


def test_its_own_photos_are_judged_without_the_unlabeled_ones(
    config: TrainConfig, small_photos: Path, tmp_path: Path
) -> None:
    more = shutil.copytree(small_photos / "train", tmp_path / "more")
    run_folder = train(replace(config, unlabeled=more, epochs=1))
    shutil.rmtree(more)
    assert evaluate(run_folder).n == 9
    # What it learned from has to be known to be left out of others.
    with pytest.raises(DataError, match="--unlabeled .* is no folder"):
        evaluate(run_folder, data=small_photos)


def test_a_body_that_stays_frozen_cannot_learn_from_them(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="--freeze body"):
        replace(config, freeze="body")
