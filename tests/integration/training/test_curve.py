"""A run's losses: those stored here, the same however a step is split, and no memory left behind."""

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training.config import TrainConfig
from training.data.source import read_data
from training.distributed import ALONE
from training.fit.trainer import Trainer

Config = Callable[..., TrainConfig]

STORED = Path(__file__).with_name("golden_curve.json")
# Other processors and versions of PyTorch add in another order. Where it was stored, the curve is
# matched to the last digit; what changes the training itself changes it by far more than this.
TOLERANCE = 1e-3
STORED_FLAGS: dict[str, dict[str, object]] = {
    "pretrained": {
        "architecture": "resnet18", "weights": "embedded", "ema_decay": 0.5, "moving_batchnorm": "auto",
    },
    "from scratch": {
        "weights": "none", "optimizer": "sgd", "learning_rate": 0.02, "augment": "trivial",
        "mix": "both",
    },
}  # fmt: skip


def losses_of(config: TrainConfig) -> list[list[float]]:
    """Return the loss on train and on val of each epoch."""
    trainer = Trainer(config, read_data(config), ALONE)
    lines = [trainer.run_epoch(epoch) for epoch in range(config.total_epochs)]
    return [[line["train_loss"], line["val_loss"]] for line in lines]


def test_the_curve_is_the_stored_one(small_config: Config) -> None:
    """To store a new one, because training was changed on purpose, write what this computes there."""
    computed = {name: losses_of(small_config(**flags)) for name, flags in STORED_FLAGS.items()}
    stored = json.loads(STORED.read_text())
    assert computed.keys() == stored.keys()
    for name, curve in stored.items():
        assert computed[name] == [pytest.approx(epoch, rel=TOLERANCE) for epoch in curve], name


def test_two_parts_of_4_are_a_step_of_8(small_config: Config) -> None:
    # BatchNorm with still statistics: with moving ones each part has statistics of its own. No
    # dropout, which would draw for other photos.
    flags = {
        "architecture": "resnet18", "weights": "embedded", "moving_batchnorm": "none",
        "mix": "mixup", "balance": "loss", "head_epochs": 0, "epochs": 2,
    }  # fmt: skip
    whole = losses_of(small_config(**flags))
    parts = losses_of(small_config(**flags, accumulate_steps=2))
    assert parts == [pytest.approx(epoch, rel=1e-4) for epoch in whole]


def test_no_epoch_leaves_anything_behind(small_config: Config) -> None:
    config = small_config(weights="none", epochs=12, mix="both", augment="trivial", ema_decay=0.5)
    trainer = Trainer(config, read_data(config), ALONE)

    def left_behind() -> tuple[int, int]:
        gc.collect()
        # By type alone: asking some objects for their class warns, and an export's fake tensors have no size.
        tensors = [
            one for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)
        ]
        return len(tensors), sum(one.numel() for one in tensors)

    after = []
    for epoch in range(12):
        trainer.run_epoch(epoch)
        after.append(left_behind())
    # The optimizer's own moments and the decoded photos come with the first epochs.
    assert set(after[2:]) == {after[2]}
