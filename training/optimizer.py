"""What moves the weights: the optimizer with its groups, and the average kept beside them."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from handlers.network import Network
from training.config import TrainConfig
from training.features import head_of


def make_optimizer(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
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


def set_rates(optimizer: torch.optim.Optimizer, rate: float, *, body_lr_ratio: float) -> None:
    """Give the head's groups the rate and the body's their share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * (body_lr_ratio if group["part"] == "body" else 1)


def rate_of_head(optimizer: torch.optim.Optimizer) -> float:
    return next(float(group["lr"]) for group in optimizer.param_groups if group["part"] == "head")


def make_average(network: Network, config: TrainConfig) -> AveragedModel | None:
    """Return the averaged network that is judged and kept, or None where none is asked for."""
    if not config.ema_decay:
        return None
    update = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
