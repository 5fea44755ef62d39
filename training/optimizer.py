"""What moves the weights: parameter groups, rates, averaging, and which part stands still."""

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from handlers.network import Network
from training.config import TrainConfig
from training.features import head_of

WARM_UP_SHARE = 0.3
START_DIVISOR = 25


def one_cycle(position: float) -> float:
    """Return the share of the highest rate at `position` in 0..1 of a stage.

    A cosine up from a 25th and a cosine down to 0 (Smith and Topin, 2018).
    """
    if position < WARM_UP_SHARE:
        rising = (1 - math.cos(math.pi * position / WARM_UP_SHARE)) / 2
        return (1 + (START_DIVISOR - 1) * rising) / START_DIVISOR
    return (1 + math.cos(math.pi * (position - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))) / 2


def make_optimizer(network: Network, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW with all its groups from the first step on: resuming needs no special case."""
    head = {id(parameter) for parameter in head_of(network).parameters()}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        part = "head" if id(parameter) in head else "body"
        groups.setdefault((part, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": found, "part": part, "weight_decay": config.weight_decay if decays else 0.0}
            for (part, decays), found in groups.items()
        ],
        lr=config.learning_rate,
    )


def make_average(network: Network, config: TrainConfig) -> AveragedModel | None:
    """Return the averaged network that is judged and kept, or None where none is asked for."""
    if not config.ema_decay:
        return None
    update = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)


def freeze_body(network: Network, *, frozen: bool) -> None:
    """Say which parameters learn: the head always, the body unless it is frozen."""
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen)
    for parameter in head_of(network).parameters():
        parameter.requires_grad_(True)
