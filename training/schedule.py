"""The learning rate at every moment of a run: a function of the config and the epoch."""

import math

from training.config import TrainConfig

WARM_UP_SHARE = 0.3
START_DIVISOR = 25


def rate_at(config: TrainConfig, epoch: int, share_of_epoch: float) -> float:
    """Return the head's rate at a moment in 0..1 of an epoch, counted from 0.

    The head's own epochs and those of the whole network are two stages, each with its cycle.
    """
    if config.is_body_frozen(epoch):
        highest, first, count = config.head_learning_rate, 0, config.head_epochs
    else:
        highest, first, count = config.learning_rate, config.head_epochs, config.epochs
    return highest * one_cycle((epoch - first + share_of_epoch) / count)


def one_cycle(position: float) -> float:
    """Return the share of the highest rate at `position` in 0..1 of a stage.

    A cosine up from a 25th and a cosine down to 0 (Smith and Topin, 2018).
    """
    if position < WARM_UP_SHARE:
        rising = (1 - math.cos(math.pi * position / WARM_UP_SHARE)) / 2
        return (1 + (START_DIVISOR - 1) * rising) / START_DIVISOR
    return (1 + math.cos(math.pi * (position - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))) / 2
