"""A run's losses: equal to the stored ones, the same however a step is divided, and no memory leaked."""

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training.config import TrainConfig
from training.data.source import read_data
from training.distributed import SINGLE_PROCESS
from training.fit.trainer import Trainer

Config = Callable[..., TrainConfig]

STORED = Path(__file__).with_name("golden_curve.json")
# Other processors and versions of PyTorch add in another order. On the machine that stored it, the curve is
# reproduced to the last digit; a change to the training itself changes it by far more than this.
TOLERANCE = 1e-3
STORED_FLAGS: dict[str, dict[str, object]] = {
    "pretrained": {
        "architecture": "resnet18", "weights": "embedded", "ema_decay": 0.5, "batchnorm_stats": "auto",
    },
    "from scratch": {
        "weights": "none", "optimizer": "sgd", "learning_rate": 0.02, "augment": "trivial",
        "mix": "both",
    },
}  # fmt: skip


def losses_of(config: TrainConfig) -> list[list[float]]:
    """Return the loss on train and on val of each epoch."""
    trainer = Trainer(config, read_data(config), SINGLE_PROCESS)
    history = [trainer.run_epoch(epoch) for epoch in range(config.total_epochs)]
    return [[metrics["train_loss"], metrics["val_loss"]] for metrics in history]


def test_the_curve_is_the_stored_one(small_config: Config) -> None:
    """Where training was changed on purpose, store what this computes."""
    computed = {name: losses_of(small_config(**flags)) for name, flags in STORED_FLAGS.items()}
    stored = json.loads(STORED.read_text())
    assert computed.keys() == stored.keys()
    for name, curve in stored.items():
        assert computed[name] == [pytest.approx(epoch, rel=TOLERANCE) for epoch in curve], name


def test_two_parts_of_4_are_a_step_of_8(small_config: Config) -> None:
    # With frozen statistics, for otherwise each part is normalised by its own photos. And without dropout, whose masks
    # would be drawn for other photos.
    flags = {
        "architecture": "resnet18", "weights": "embedded", "batchnorm_stats": "frozen",
        "mix": "mixup", "balance": "loss", "head_epochs": 0, "epochs": 2,
    }  # fmt: skip
    whole = losses_of(small_config(**flags))
    parts = losses_of(small_config(**flags, accumulate_steps=2))
    assert parts == [pytest.approx(epoch, rel=1e-4) for epoch in whole]


def test_no_epoch_leaks_tensors(small_config: Config) -> None:
    config = small_config(weights="none", epochs=12, mix="both", augment="trivial", ema_decay=0.5)
    trainer = Trainer(config, read_data(config), SINGLE_PROCESS)

    def tensors_alive() -> tuple[int, int]:
        gc.collect()
        # By type alone: asking some objects for their class warns, and an export's fake tensors have no size.
        tensors = [
            item for item in gc.get_objects() if type(item) in (torch.Tensor, torch.nn.Parameter)
        ]
        return len(tensors), sum(tensor.numel() for tensor in tensors)

    after = []
    for epoch in range(12):
        trainer.run_epoch(epoch)
        after.append(tensors_alive())
    # The optimizer's moments and the decoded photos are allocated in the first epochs.
    assert set(after[2:]) == {after[2]}
