"""The learning rate at every moment of a run: a function of the config and the epoch."""

import math

from training.config import TrainConfig

WARM_UP_SHARE = 0.3
LONGEST_WARM_UP_SHARE = 0.5
START_DIVISOR = 25


def learning_rate_at(config: TrainConfig, epoch: int, share_of_epoch: float) -> float:
    """Return the head's rate at a moment in 0..1 of an epoch, counted from 0.

    The head's own epochs and those of the whole network are two stages, each with its rise and fall.
    """
    if config.is_backbone_frozen(epoch):
        highest, first, count = config.head_learning_rate, 0, config.frozen_epochs
    else:
        highest, first, count = config.learning_rate, config.frozen_epochs, config.epochs
    position = (epoch - first + share_of_epoch) / count
    warm_up_share = min(config.warmup_epochs / count, LONGEST_WARM_UP_SHARE)
    if config.schedule == "cosine":
        return highest * cosine(position, warm_up_share=warm_up_share)
    return highest * one_cycle(position, warm_up_share=warm_up_share or WARM_UP_SHARE)


def one_cycle(position: float, *, warm_up_share: float = WARM_UP_SHARE) -> float:
    """Return the share of the highest rate at `position` in 0..1 of a stage.

    A cosine up from a 25th and a cosine down to 0 (Smith and Topin, 2018).
    """
    if position < warm_up_share:
        rising = (1 - math.cos(math.pi * position / warm_up_share)) / 2
        return (1 + (START_DIVISOR - 1) * rising) / START_DIVISOR
    return (1 + math.cos(math.pi * (position - warm_up_share) / (1 - warm_up_share))) / 2


def cosine(position: float, *, warm_up_share: float = 0.0) -> float:
    """Return the share of the highest rate at `position` in 0..1 of a stage.

    A straight line up from a 25th (Goyal et al., 2017), then a cosine down to 0 (Loshchilov and
    Hutter, 2017).
    """
    if position < warm_up_share:
        return (1 + (START_DIVISOR - 1) * position / warm_up_share) / START_DIVISOR
    return (1 + math.cos(math.pi * (position - warm_up_share) / (1 - warm_up_share))) / 2
