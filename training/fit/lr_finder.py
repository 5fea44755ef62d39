"""How high the learning rate may be: raise it step by step and see where the loss turns (Smith, 2017).

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

from training.config import TrainConfig
from training.data.dataset import Batch
from training.data.photos import PhotoSet
from training.device import choose_device
from training.distributed import ProcessGroup
from training.errors import ConfigError, DivergedError
from training.fit.freezing import set_learning
from training.fit.optimizer import set_learning_rates
from training.fit.trainer import Trainer
from training.run import write_json

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0
STEP_COUNT = 100
# The loss of one step is mostly chance; this many steps weigh in its average.
SMOOTHING = 0.9
# Beyond this multiple of the lowest loss nothing is learned any more.
HOPELESS = 3.0
# Where the loss is lowest it is about to rise: a tenth of that rate is safe for a whole run.
SAFETY = 10
INK, LINE = "#888888", "#2f6fd0"


@dataclass(frozen=True, kw_only=True)
class LearningRateRange:
    """What was seen while the rate rose, and what follows from it."""

    rates: list[float]
    """Of the head, rising by the same factor each step."""
    losses: list[float]
    """Smoothed loss on training photos at each of the rates."""
    suggestion: float
    """For --learning-rate, or with --freeze body for --head-learning-rate."""


def find_learning_rate(
    config: TrainConfig, photos: PhotoSet, *, say: Callable[[str], None]
) -> LearningRateRange:
    """Return the losses over rising rates: of the whole network, or with --freeze body of the head.

    The head learns alone first, as it will in the run, for that is where the whole network starts.
    Writes nothing.

    Raises:
        ConfigError, WeightsError, DownloadError: what was given cannot be used.
        DivergedError: the loss is no number from the start.
    """
    if config.freeze != "body" and config.epochs == 0:
        raise ConfigError("--epochs is 0, so there is no rate of the whole network to look for.")
    # Every block learns: gradually, the rate would rise while the network grows.
    thawed = replace(config, freeze="none" if config.freeze == "gradual" else config.freeze)
    trainer = Trainer(thawed, photos, ProcessGroup(device=choose_device(config.device)))
    first_epoch = 0 if config.freeze == "body" else config.frozen_epochs
    say(f"{first_epoch} epochs of the head, then {STEP_COUNT} steps from {LOWEST_RATE:g} upwards")
    for epoch in range(first_epoch):
        trainer.run_epoch(epoch)
    torch.manual_seed(config.seed)
    set_learning(trainer.state.network, thawed, first_epoch)
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    for step, batch in enumerate(_steps(trainer, first_epoch)):
        rate = LOWEST_RATE * (HIGHEST_RATE / LOWEST_RATE) ** (step / (STEP_COUNT - 1))
        set_learning_rates(trainer.state.optimizer, rate, thawed)
        mean_loss = trainer.step(batch, first_epoch).item() / len(batch[1])
        average = SMOOTHING * average + (1 - SMOOTHING) * mean_loss
        loss = average / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(loss):
            break
        rates.append(rate)
        losses.append(loss)
        if loss > HOPELESS * min(losses):
            break
    if not rates:
        raise DivergedError(
            f"the loss is no number at a rate of {LOWEST_RATE:g} already; check that --weights "
            f"{config.weights} holds finite numbers, or give others."
        )
    return LearningRateRange(rates=rates, losses=losses, suggestion=suggest(rates, losses))


def suggest(rates: list[float], losses: list[float]) -> float:
    """Return a tenth of the rate of the lowest loss, to one significant digit."""
    best = rates[losses.index(min(losses))] / SAFETY
    return float(f"{best:.0e}")


def write_rate_range(found: LearningRateRange, folder: Path) -> Path:
    """Write learning-rate.json and the plot beside it, learning-rate.svg, and return the plot's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "learning-rate.json",
        {"suggestion": found.suggestion, "rates": found.rates, "losses": found.losses},
    )
    path = folder / "learning-rate.svg"
    beside = folder / ".learning-rate.part"
    draw(found).savefig(beside, format="svg", transparent=True)
    beside.replace(path)
    return path


def draw(found: LearningRateRange) -> Any:
    """Return a matplotlib figure: loss over rate, the suggestion marked."""
    from matplotlib.figure import Figure

    colours = {f"{part}.color": INK for part in ("text", "xtick", "ytick")}
    settings: Any = {**colours, "axes.labelcolor": INK, "axes.edgecolor": INK}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(6.5, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.semilogx(found.rates, found.losses, color=LINE)
        axes.axvline(found.suggestion, color=LINE, linestyle="--", linewidth=1)
        axes.annotate(
            f" {found.suggestion:g}", (found.suggestion, 1), xycoords=("data", "axes fraction"),
            va="top", color=LINE,
        )  # fmt: skip
        axes.set_xlabel("learning rate of the head")
        axes.set_ylabel("training loss, smoothed")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _steps(trainer: Trainer, epoch: int) -> Iterator[Batch]:
    """Yield as many batches as there are rates, from as many passes as that takes."""
    is_frozen = trainer.config.is_backbone_frozen(epoch)
    # Another pass sees other crops; a frozen body's features are the same in every one.
    passes = itertools.count(epoch, 0 if is_frozen else 1)
    batches = (
        batch
        for number in passes
        for batch in trainer.feed.learning(trainer.state.network, number, teacher=trainer.answer)
    )
    return itertools.islice(batches, STEP_COUNT)
