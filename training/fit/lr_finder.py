"""Learning rate range test: raise the learning rate step by step and see where the loss rises (Smith, 2017).

headswap lr-find --data photos --out runs/first
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import torch

from storage import atomic_path
from training.config import TrainConfig
from training.data.dataset import Batch
from training.data.photos import PhotoSet
from training.distributed import ProcessGroup, choose_device
from training.errors import ConfigError, DivergedError
from training.fit.optimizer import set_learning_rates
from training.fit.trainer import Trainer
from training.run import write_json

LEARNING_RATE_MIN, LEARNING_RATE_MAX = 1e-6, 1.0
STEP_COUNT = 100
# Of the moving average of the losses: the loss of a single step is mostly chance.
SMOOTHING = 0.9
# The test ends once the loss is this many times the lowest one.
DIVERGENCE_FACTOR = 3.0
# Where the loss is lowest it is about to rise: a tenth of that learning rate is safe for a whole run.
SUGGESTION_DIVISOR = 10
INK, LINE = "#888888", "#2f6fd0"


@dataclass(frozen=True, kw_only=True)
class LearningRateCurve:
    """The losses over rising learning rates, and the learning rate they suggest."""

    learning_rates: list[float]
    """Of the head, rising by the same factor each step."""
    losses: list[float]
    """Smoothed training loss at each of the learning rates."""
    suggestion: float
    """For --learning-rate, or with --freeze backbone for --head-learning-rate."""


def find_learning_rate(
    config: TrainConfig, photos: PhotoSet, *, log: Callable[[str], None]
) -> LearningRateCurve:
    """Return the losses over rising learning rates, of the whole network or with --freeze backbone of the head.

    As in a run, the head is trained alone before the whole network. Writes no files.

    Raises:
        ConfigError, WeightsError, DownloadError: flags or weights cannot be used.
        DivergedError: the loss is NaN or infinite from the start.
    """
    if config.freeze != "backbone" and config.epochs == 0:
        raise ConfigError(
            "--epochs is 0, so the whole network is not trained; set it to 1 or more, or use --freeze backbone."
        )
    # With gradual unfreezing, the network would grow while the learning rate rises.
    config = replace(config, freeze="none" if config.freeze == "gradual" else config.freeze)
    trainer = Trainer(config, photos, ProcessGroup(device=choose_device(config.device)))
    first_epoch = 0 if config.freeze == "backbone" else config.frozen_epochs
    log(
        f"{first_epoch} epochs of the head, then {STEP_COUNT} steps from {LEARNING_RATE_MIN:g} upwards"
    )
    for epoch in range(first_epoch):
        trainer.run_epoch(epoch)
    torch.manual_seed(config.seed)
    trainer.freeze_for(first_epoch)
    learning_rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    for step, batch in enumerate(_batches(trainer, first_epoch)):
        progress = step / (STEP_COUNT - 1)
        learning_rate = LEARNING_RATE_MIN * (LEARNING_RATE_MAX / LEARNING_RATE_MIN) ** progress
        set_learning_rates(
            trainer.state.optimizer,
            learning_rate,
            backbone_lr_ratio=config.effective_backbone_lr_ratio,
        )
        mean_loss = trainer.step(batch, first_epoch).item() / len(batch[1])
        average = SMOOTHING * average + (1 - SMOOTHING) * mean_loss
        # Corrected for the average's start at 0, as in Adam.
        loss = average / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(loss):
            break
        learning_rates.append(learning_rate)
        losses.append(loss)
        if loss > DIVERGENCE_FACTOR * min(losses):
            break
    if not learning_rates:
        raise DivergedError(
            f"the loss is not finite even at a learning rate of {LEARNING_RATE_MIN:g}; check that --weights "
            f"{config.effective_weights} holds finite numbers, or use others."
        )
    return LearningRateCurve(
        learning_rates=learning_rates, losses=losses, suggestion=suggest(learning_rates, losses)
    )


def suggest(learning_rates: list[float], losses: list[float]) -> float:
    """Return a tenth of the learning rate of the lowest loss, to one significant digit."""
    best = learning_rates[losses.index(min(losses))] / SUGGESTION_DIVISOR
    return float(f"{best:.0e}")


def write_learning_rate_curve(curve: LearningRateCurve, folder: Path) -> Path:
    """Write learning-rate.json and the plot learning-rate.svg to the folder, and return the plot's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "learning-rate.json",
        {
            "suggestion": curve.suggestion,
            "learning_rates": curve.learning_rates,
            "losses": curve.losses,
        },
    )
    path = folder / "learning-rate.svg"
    with atomic_path(path) as temporary:
        draw(curve).savefig(temporary, format="svg", transparent=True)
    return path


def draw(curve: LearningRateCurve) -> Any:
    """Return a matplotlib figure: loss over learning rate, with the suggestion marked."""
    from matplotlib.figure import Figure

    colours = {f"{part}.color": INK for part in ("text", "xtick", "ytick")}
    style: Any = {**colours, "axes.labelcolor": INK, "axes.edgecolor": INK}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(6.5, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.semilogx(curve.learning_rates, curve.losses, color=LINE)
        axes.axvline(curve.suggestion, color=LINE, linestyle="--", linewidth=1)
        axes.annotate(
            f" {curve.suggestion:g}", (curve.suggestion, 1), xycoords=("data", "axes fraction"),
            va="top", color=LINE,
        )  # fmt: skip
        axes.set_xlabel("learning rate of the head")
        axes.set_ylabel("training loss, smoothed")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _batches(trainer: Trainer, epoch: int) -> Iterator[Batch]:
    """Yield STEP_COUNT batches, over as many epochs as that takes."""
    is_frozen = trainer.config.is_backbone_frozen(epoch)
    # Another epoch has other crops; a frozen backbone's features are the same in each.
    epochs = itertools.count(epoch, 0 if is_frozen else 1)
    batches = (
        batch
        for number in epochs
        for batch in trainer.batch_source.training_batches(trainer.state.network, number)
    )
    return itertools.islice(batches, STEP_COUNT)
