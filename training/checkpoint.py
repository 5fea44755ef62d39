"""last.pt: all that the next epoch needs, tensors and plain values only."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch.optim.swa_utils import AveragedModel

from handlers.network import Network
from training.errors import RunError
from training.ranks import Ranks


@dataclass(order=True, frozen=True)
class Score:
    """On val: the higher accuracy is better, and among equals the lower loss."""

    accuracy: float = -1.0
    negative_loss: float = -math.inf

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Self:
        """Return the score that a line of metrics.jsonl tells."""
        return cls(accuracy=line["val_accuracy"], negative_loss=-line["val_loss"])

    @property
    def loss(self) -> float:
        return -self.negative_loss


@dataclass
class State:
    """What an epoch changes, and nothing else: what is saved is what is resumed."""

    network: Network
    average: AveragedModel | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    best: Score

    @property
    def judged(self) -> Network:
        """The network that is judged and kept: the averaged one where there is one."""
        network = self.network if self.average is None else self.average.module
        assert isinstance(network, Network)
        return network


def save_checkpoint(path: Path, state: State, *, finished_epochs: int) -> None:
    """Write the state whole or not at all."""
    beside = path.with_suffix(".part")
    torch.save(
        {
            "epoch": finished_epochs,
            "network": state.network.state_dict(),
            "average": {} if state.average is None else state.average.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "scaler": state.scaler.state_dict(),
            "best_accuracy": state.best.accuracy,
            "best_loss": state.best.loss,
        },
        beside,
    )
    beside.replace(path)


def load_checkpoint(path: Path, state: State, ranks: Ranks) -> int:
    """Put what the file holds into every process's state and return how many epochs are finished.

    Raises:
        RunError: the file is damaged.
    """
    packed = ranks.from_first(path.read_bytes)
    try:
        saved = torch.load(io.BytesIO(packed), map_location=ranks.device, weights_only=True)
        state.network.load_state_dict(saved["network"])
        if state.average is not None:
            state.average.load_state_dict(saved["average"])
        state.optimizer.load_state_dict(saved["optimizer"])
        state.scaler.load_state_dict(saved["scaler"])
        state.best = Score(saved["best_accuracy"], -saved["best_loss"])
        return int(saved["epoch"])
    except Exception as error:
        # zipfile, pickle and torch each have their own errors for a file that is damaged.
        raise ranks.told_once(
            RunError(
                f"{path} cannot be resumed from: {' '.join(str(error).split())[:99]}. "
                "Train anew into another --out."
            )
        ) from None
