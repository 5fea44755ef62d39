"""last.pt: all that the next epoch needs, tensors and plain values only.

While the body is frozen it is the starting weights', which every run loads anyway: then last.pt holds its sha256 alone
(ResNet-18: 0.1 MB an epoch instead of 45, and 5 ms instead of 80).
"""

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from handlers.engines.network import Network, find_head
from training.distributed import ProcessGroup
from training.errors import RunError


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

    @cached_property
    def backbone_sha256(self) -> str:
        """The sha256 of the body when this was first asked for, which is while it is frozen."""
        digest = hashlib.sha256()
        for name, tensor in self.network.state_dict().items():
            if self._is_of_body(name):
                digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def without_backbone(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the network's or the average's tensors that are not the body's."""
        return {name: value for name, value in tensors.items() if not self._is_of_body(name)}

    def _is_of_body(self, name: str) -> bool:
        _, of_classifier, inner = name.partition("backbone_and_head.")
        return bool(of_classifier) and not inner.startswith(f"{self._head_name}.")

    @cached_property
    def _head_name(self) -> str:
        return find_head(self.network.backbone_and_head)


def save_checkpoint(
    path: Path, state: State, *, finished_epochs: int, is_backbone_frozen: bool
) -> None:
    """Write the state whole or not at all; of a body that was frozen so far, its sha256."""
    beside = path.with_suffix(".part")
    network = state.network.state_dict()
    average = {} if state.average is None else state.average.state_dict()
    torch.save(
        {
            "epoch": finished_epochs,
            "backbone_sha256": state.backbone_sha256 if is_backbone_frozen else "",
            "network": state.without_backbone(network) if is_backbone_frozen else network,
            "average": state.without_backbone(average) if is_backbone_frozen else average,
            "optimizer": state.optimizer.state_dict(),
            "scaler": state.scaler.state_dict(),
            "best_accuracy": state.best.accuracy,
            "best_loss": state.best.loss,
        },
        beside,
    )
    beside.replace(path)


def load_checkpoint(path: Path, state: State, ranks: ProcessGroup) -> int:
    """Put what the file holds into every process's state and return how many epochs are finished.

    Raises:
        RunError: the file is damaged, or the starting weights are no longer those the run began with.
    """
    packed = ranks.on_rank_zero(path.read_bytes)
    try:
        saved = torch.load(io.BytesIO(packed), map_location=ranks.device, weights_only=True)
        if backbone_sha256 := saved.get("backbone_sha256"):
            _check_backbone(path, state, backbone_sha256)
        _load(state.network, saved["network"], is_whole=not backbone_sha256)
        if state.average is not None:
            _load(state.average, saved["average"], is_whole=not backbone_sha256)
        state.optimizer.load_state_dict(saved["optimizer"])
        state.scaler.load_state_dict(saved["scaler"])
        state.best = Score(saved["best_accuracy"], -saved["best_loss"])
        return int(saved["epoch"])
    except RunError as error:
        raise ranks.told_once(error) from None
    except Exception as error:
        # zipfile, pickle and torch each have their own errors for a file that is damaged.
        raise ranks.told_once(
            RunError(
                f"{path} cannot be resumed from: {' '.join(str(error).split())[:99]}. "
                "Train anew into another --out."
            )
        ) from None


def _check_backbone(path: Path, state: State, backbone_sha256: str) -> None:
    if state.backbone_sha256 != backbone_sha256:
        raise RunError(
            f"{path} was trained on other starting weights than --weights gives now; "
            "give those again, or train anew into another --out."
        )


def _load(network: nn.Module, tensors: Mapping[str, torch.Tensor], *, is_whole: bool) -> None:
    """Put the tensors into the network; where they are not the whole of it, it keeps the others."""
    network.load_state_dict(tensors if is_whole else {**network.state_dict(), **tensors})
