"""Configs, pixels and a network of four blocks, for the tests of training's parts."""

from pathlib import Path

import torch
from torch import nn

from handlers.engines.network import Network
from handlers.images.preprocessing import PreprocessingSpec
from training.config import TrainConfig
from training.fit.freezing import backbone_blocks, set_trainable, trainable_block_count
from training.fit.optimizer import make_optimizer

CPU = torch.device("cpu")


def config_of(**changes: object) -> TrainConfig:
    return TrainConfig(data=Path("photos"), **changes)


class SmallClassifier(nn.Module):
    """Four blocks and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.two = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.three = nn.Conv2d(4, 4, 3)
        self.four = nn.Sequential(nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.four(self.three(self.two(self.one(images)))))


def small_network() -> Network:
    torch.manual_seed(0)
    return Network(SmallClassifier(), preprocessing=PreprocessingSpec(image_size_px=16))


def pixels(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 16, 16, 3), dtype=torch.uint8, generator=generator)


def optimizer_of(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer that the trainer makes with this config."""
    return make_optimizer(
        network,
        optimizer=config.optimizer,
        learning_rate=config.head_learning_rate,
        weight_decay=config.weight_decay,
    )


def freeze_for(network: Network, config: TrainConfig, epoch: int) -> None:
    """Freeze what the trainer freezes in this epoch."""
    trainable = trainable_block_count(
        epoch,
        block_count=len(backbone_blocks(network)),
        freeze=config.freeze,
        frozen_epochs=config.frozen_epochs,
        epochs=config.epochs,
    )
    set_trainable(network, block_count=trainable, batchnorm_stats=config.effective_batchnorm_stats)
