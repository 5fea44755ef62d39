"""The learning rate at every moment of a run: a function of its settings and the epoch."""

import math

from training.config import Schedule

ONE_CYCLE_WARMUP_SHARE = 0.3
WARMUP_SHARE_MAX = 0.5
# The first learning rate of a warm-up is the peak divided by this.
START_DIVISOR = 25


def learning_rate_at(
    epoch_fraction: float, *, epochs: int, peak: float, schedule: Schedule, warmup_epochs: float
) -> float:
    """Return the learning rate after `epoch_fraction`, in 0..epochs, of a stage of that many epochs.

    The head's own epochs and those of the whole network are two stages, each with a warm-up and a decay to 0.
    """
    progress = epoch_fraction / epochs
    warmup_share = min(warmup_epochs / epochs, WARMUP_SHARE_MAX)
    if schedule == "cosine":
        return peak * cosine(progress, warmup_share=warmup_share)
    return peak * one_cycle(progress, warmup_share=warmup_share or ONE_CYCLE_WARMUP_SHARE)


def one_cycle(progress: float, *, warmup_share: float = ONE_CYCLE_WARMUP_SHARE) -> float:
    """Return the learning rate as a fraction of its peak, at `progress` in 0..1 of a stage.

    Cosine warm-up from 1/25, then cosine decay to 0 (Smith and Topin, 2018).
    """
    if progress < warmup_share:
        risen = (1 - math.cos(math.pi * progress / warmup_share)) / 2
        return (1 + (START_DIVISOR - 1) * risen) / START_DIVISOR
    return _cosine_decay(progress, warmup_share)


def cosine(progress: float, *, warmup_share: float = 0.0) -> float:
    """Return the learning rate as a fraction of its peak, at `progress` in 0..1 of a stage.

    Linear warm-up from 1/25 (Goyal et al., 2017), then cosine decay to 0 (Loshchilov and Hutter, 2017).
    """
    if progress < warmup_share:
        return (1 + (START_DIVISOR - 1) * progress / warmup_share) / START_DIVISOR
    return _cosine_decay(progress, warmup_share)


def _cosine_decay(progress: float, warmup_share: float) -> float:
    return (1 + math.cos(math.pi * (progress - warmup_share) / (1 - warmup_share))) / 2
