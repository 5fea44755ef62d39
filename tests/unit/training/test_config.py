"""The settings of a run: what is refused, what follows from what, and config.json of earlier versions."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.training.helpers import config_of
from training.config import PRESETS, Stage, TrainConfig
from training.errors import ConfigError

# As written before `body` became `backbone` and `moving_batchnorm` became `batchnorm_stats`.
EARLIER = {
    "data": "photos", "out": "runs/first", "architecture": "resnet18", "weights": "embedded",
    "photos_per_class": 0, "unlabeled": None, "image_size_px": 160, "resize_ratio": 1.0, "freeze": "body",
    "moving_batchnorm": "learning", "head_epochs": 20, "epochs": 10, "patience_epochs": 0, "batch_size": 32,
    "accumulate_steps": 1, "optimizer": "adamw", "schedule": "one-cycle", "warmup_epochs": 0.0,
    "learning_rate": 0.001, "head_learning_rate": 0.003, "body_lr_ratio": 0.25, "weight_decay": 0.05,
    "label_smoothing": 0.1, "crop_area_min": 0.35, "augment": "crop", "mix": "none", "balance": "none",
    "ema_decay": 0.0, "clip_norm": 5.0, "seed": 0, "device": "auto", "precision": "auto", "compile": False,
    "resume": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"clip_norm": 0.0}, {"clip_norm": math.nan}, {"accumulate_steps": 0},
        {"accumulate_steps": 33, "batch_size": 32}, {"patience_epochs": -1}, {"warmup_epochs": -1.0},
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(changes: dict[str, object]) -> None:
    flag = "--" + next(iter(changes)).replace("_", "-")
    with pytest.raises(ConfigError, match=f"{flag} must be between .* and .*, not "):
        config_of(**changes)


@pytest.mark.parametrize("freeze", ["backbone", "gradual"])
def test_a_backbone_of_random_weights_is_never_frozen(freeze: str) -> None:
    with pytest.raises(ConfigError, match="--weights none"):
        config_of(weights="none", freeze=freeze)


def test_from_scratch_no_epoch_is_spent_on_the_head_alone() -> None:
    config = config_of(weights="none", head_epochs=5, epochs=3)
    assert config.total_epochs == 3
    assert not config.is_backbone_frozen(0)
    first = config.stage_of(0, labeled_per_step=8)
    assert first == Stage(first_epoch=0, epochs=3, peak_learning_rate=1e-3)


@pytest.mark.parametrize(
    ("labeled_per_step", "learning_rate"), [(2, 7.5e-5), (8, 3e-4), (16, 6e-4), (32, 1e-3), (64, 1e-3)]
)  # fmt: skip
def test_pretrained_weights_are_changed_more_slowly_than_random_ones(
    labeled_per_step: int, learning_rate: float
) -> None:
    config = config_of(head_epochs=2)
    stage = config.stage_of(2, labeled_per_step=labeled_per_step)
    assert stage.peak_learning_rate == pytest.approx(learning_rate)
    assert config.stage_of(1, labeled_per_step=labeled_per_step).peak_learning_rate == 5e-4
    random = replace(config, weights="none").stage_of(0, labeled_per_step=labeled_per_step)
    assert random.peak_learning_rate == 1e-3


def test_the_head_and_the_whole_network_are_two_stages() -> None:
    config = config_of(head_epochs=6, epochs=10, learning_rate=0.01, head_learning_rate=0.03)
    head = Stage(first_epoch=0, epochs=6, peak_learning_rate=0.03)
    whole = Stage(first_epoch=6, epochs=10, peak_learning_rate=0.01)
    stages = [config.stage_of(epoch, labeled_per_step=8) for epoch in range(16)]
    assert stages == [head] * 6 + [whole] * 10


@pytest.mark.parametrize(
    ("changes", "stats"),
    [
        ({"weights": "embedded"}, "frozen"),
        ({"weights": "none"}, "train"),
        ({"weights": "embedded", "batchnorm_stats": "train"}, "train"),
        ({"weights": "none", "batchnorm_stats": "frozen"}, "frozen"),
    ],
)
def test_batchnorm_statistics_are_frozen_unless_there_are_none_yet(
    changes: dict[str, object], stats: str
) -> None:
    assert config_of(**changes).effective_batchnorm_stats == stats


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({}, "embedded"),
        ({"architecture": "efficientnet_lite2"}, "embedded"),
        ({"architecture": "resnet18"}, "imagenet"),
        ({"architecture": "resnet18", "weights": "embedded"}, "embedded"),
        ({"architecture": "efficientnet_lite0", "weights": "none"}, "none"),
    ],
)
def test_initial_weights_are_those_of_imagenet_unless_said_otherwise(
    changes: dict[str, str], weights: str
) -> None:
    assert TrainConfig(data=Path("photos"), **changes).effective_weights == weights


def test_random_weights_have_one_learning_rate() -> None:
    assert config_of(backbone_lr_ratio=0.25).effective_backbone_lr_ratio == 0.25
    assert config_of(weights="none", backbone_lr_ratio=0.25).effective_backbone_lr_ratio == 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_config_json(name: str) -> None:
    config = PRESETS[name]()
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_the_paths_of_a_config_survive_config_json() -> None:
    config = config_of(labels=Path("labels.csv"), unlabeled=Path("more"))
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_an_earlier_config_json_is_read() -> None:
    config = TrainConfig.from_dict(EARLIER)
    assert config == TrainConfig(
        data=Path("photos"), out=Path("runs/first"), architecture="resnet18", weights="embedded",
        image_size_px=160, resize_ratio=1.0, freeze="backbone", batchnorm_stats="train",
        backbone_lr_ratio=0.25, learning_rate=0.001, head_learning_rate=0.003, finetuned_share=1.0, batch_size=32,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "now"),
    [("auto", "auto"), ("none", "frozen"), ("learning", "train"), ("all", "train")],
)
def test_earlier_values_of_the_batchnorm_setting_are_read(earlier: str, now: str) -> None:
    config = TrainConfig.from_dict({**EARLIER, "moving_batchnorm": earlier})
    assert config.batchnorm_stats == now


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown settings: colour, shape"):
        TrainConfig.from_dict({**EARLIER, "shape": 1, "colour": 2})


def test_a_config_json_without_photos_is_refused() -> None:
    with pytest.raises(ConfigError, match="not that of a run"):
        TrainConfig.from_dict({"out": "runs/first"})
