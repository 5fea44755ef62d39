"""Configs, pixels and a network of four blocks, for the tests of the loop's parts."""

from pathlib import Path

import torch
from torch import nn

from handlers.engines.network import Network
from handlers.images.preprocessing import PreprocessingSpec
from training.config import TrainConfig

CPU = torch.device("cpu")


def config_of(**changes: object) -> TrainConfig:
    return TrainConfig(data=Path("photos"), **changes)


class Small(nn.Module):
    """Four blocks and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.two = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.three = nn.Conv2d(4, 4, 3)
        self.four = nn.Sequential(nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(4, 3)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return self.fc(self.four(self.three(self.two(self.one(planes)))))


def small_network() -> Network:
    torch.manual_seed(0)
    return Network(Small(), preprocessing=PreprocessingSpec(image_size_px=16))


def pixels(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 16, 16, 3), dtype=torch.uint8, generator=generator)
