"""last.pt: all that the next epoch needs, as tensors and plain values only.

While the backbone is frozen it equals the initial weights, which every run loads anyway: last.pt then holds only its
sha256 (ResNet-18: 0.1 MB per epoch instead of 45, and 5 ms instead of 80).
"""

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save
from torch import nn
from torch.optim.swa_utils import AveragedModel

from handlers.engines.network import Network, find_head
from storage import atomic_path, atomic_write
from training.distributed import ProcessGroup
from training.errors import RunError
from training.fit.interpolation import Interpolation
from training.run import Run


@dataclass(order=True, frozen=True)
class Score:
    """Of an epoch on val: the higher accuracy is better, and among equal ones the lower loss."""

    accuracy: float = -1.0
    negative_loss: float = -math.inf

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> Self:
        """Return the score of a line of metrics.jsonl."""
        return cls(accuracy=metrics["val_accuracy"], negative_loss=-metrics["val_loss"])

    @property
    def loss(self) -> float:
        return -self.negative_loss


@dataclass
class TrainingState:
    """What an epoch changes, and nothing else: what is saved is what is resumed."""

    network: Network
    average: AveragedModel | None
    interpolation: Interpolation | None
    """Where the whole network is trained after the head alone."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    best: Score

    @property
    def averaged_network(self) -> Network:
        """Return the network of the averaged weights where there is one, and else that of the last step."""
        network = self.network if self.average is None else self.average.module
        assert isinstance(network, Network)
        return network

    def network_to_save(self, *, is_backbone_frozen: bool) -> Network:
        """Return the network that is validated and saved after an epoch: interpolated once the backbone is trained."""
        network = self.averaged_network
        if self.interpolation is None or is_backbone_frozen:
            return network
        return self.interpolation.update(network)

    @cached_property
    def backbone_sha256(self) -> str:
        """Return the sha256 of the backbone when this was first called, which is while it is frozen."""
        digest = hashlib.sha256()
        for name, tensor in self.network.state_dict().items():
            if self._is_of_backbone(name):
                digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def without_backbone(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Return the network's or the average's tensors without those of the backbone."""
        return {name: value for name, value in tensors.items() if not self._is_of_backbone(name)}

    def _is_of_backbone(self, name: str) -> bool:
        _, of_classifier, inner = name.partition("backbone_and_head.")
        return bool(of_classifier) and not inner.startswith(f"{self._head_name}.")

    @cached_property
    def _head_name(self) -> str:
        return find_head(self.network.backbone_and_head)


def save_epoch(run: Run, state: TrainingState, metrics: dict[str, Any], *, val_count: int) -> Score:
    """Log the epoch, save the checkpoint and, if it is as good as the best so far, the network; return the best."""
    with run.metrics_path.open("a") as log:
        log.write(json.dumps(metrics) + "\n")
    score = Score.from_metrics(metrics)
    state.best = max(state.best, score)
    if is_as_good(score, state.best, val_count=val_count):
        network = state.network_to_save(is_backbone_frozen=metrics["frozen"])
        weights = network.backbone_and_head.state_dict()
        atomic_write(
            run.best_path,
            save({name: value.cpu().contiguous() for name, value in weights.items()}),
        )
    save_checkpoint(
        run.last_path,
        state,
        finished_epochs=metrics["epoch"],
        is_backbone_frozen=metrics["frozen"],
    )
    return state.best


def is_as_good(score: Score, best: Score, *, val_count: int) -> bool:
    """Say whether the accuracy is at most two standard errors of it, on `val_count` photos, below the best.

    Learning rates end at 0, so later epochs are better unless val says otherwise; the best of many epochs on a few
    photos is the luckiest (Breiman et al., 1984, have the rule, with one; Agresti and Coull, 1998, the four photos).
    """
    share = (best.accuracy * val_count + 2) / (val_count + 4)
    standard_error = math.sqrt(share * (1 - share) / (val_count + 4))
    return score.accuracy >= best.accuracy - 2 * standard_error


def save_checkpoint(
    path: Path, state: TrainingState, *, finished_epochs: int, is_backbone_frozen: bool
) -> None:
    """Write the state whole or not at all; of a backbone that has been frozen so far, only its sha256."""
    network = state.network.state_dict()
    average = {} if state.average is None else state.average.state_dict()
    interpolation = (
        {} if state.interpolation is None else state.interpolation.head_only.state_dict()
    )
    needs_backbone = is_backbone_frozen or state.interpolation is not None
    checkpoint = {
        "epoch": finished_epochs,
        "backbone_sha256": state.backbone_sha256 if needs_backbone else "",
        "is_backbone_frozen": is_backbone_frozen,
        # Its backbone is that of the initial weights.
        "head_only": state.without_backbone(interpolation),
        "network": state.without_backbone(network) if is_backbone_frozen else network,
        "average": state.without_backbone(average) if is_backbone_frozen else average,
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "best_accuracy": state.best.accuracy,
        "best_loss": state.best.loss,
    }
    with atomic_path(path) as temporary:
        torch.save(checkpoint, temporary)


def resume(run: Run, state: TrainingState, group: ProcessGroup) -> int:
    """Load the run's last checkpoint, if there is one, into every process; return the next epoch, from 0.

    Raises:
        RunError: last.pt is damaged, or the initial weights are not those the run began with.
    """
    if not group.on_rank_zero(run.last_path.exists):
        return 0
    finished_epochs = load_checkpoint(run.last_path, state, group)
    group.on_rank_zero(truncate_log, run, finished_epochs)
    return finished_epochs


def load_checkpoint(path: Path, state: TrainingState, group: ProcessGroup) -> int:
    """Load the checkpoint, which process 0 reads, into every process's state; return how many epochs are finished.

    Raises:
        RunError: the file is damaged, or the initial weights are not those the run began with.
    """
    content = group.on_rank_zero(path.read_bytes)
    try:
        checkpoint = torch.load(io.BytesIO(content), map_location=group.device, weights_only=True)
        if backbone_sha256 := checkpoint.get("backbone_sha256"):
            _check_backbone(path, state, backbone_sha256)
        # Earlier versions had the sha256 only while the backbone was frozen.
        is_whole = not checkpoint.get("is_backbone_frozen", bool(backbone_sha256))
        _load(state.network, checkpoint["network"], is_whole=is_whole)
        if state.average is not None:
            _load(state.average, checkpoint["average"], is_whole=is_whole)
        if state.interpolation is not None:
            _load(state.interpolation.head_only, checkpoint["head_only"], is_whole=False)
        state.optimizer.load_state_dict(checkpoint["optimizer"])
        state.scaler.load_state_dict(checkpoint["scaler"])
        state.best = Score(checkpoint["best_accuracy"], -checkpoint["best_loss"])
        return int(checkpoint["epoch"])
    except RunError as error:
        raise group.report_on_rank_zero(error) from None
    except Exception as error:
        # zipfile, pickle and torch each have their own errors for a damaged file.
        raise group.report_on_rank_zero(
            RunError(
                f"{path} cannot be resumed from: {' '.join(str(error).split())[:99]}. "
                "Start a new run in another --out."
            )
        ) from None


def truncate_log(run: Run, finished_epochs: int) -> None:
    """Keep the lines of the finished epochs: a crash between log and checkpoint leaves one too many."""
    history = run.history()[:finished_epochs]
    atomic_write(run.metrics_path, "".join(json.dumps(metrics) + "\n" for metrics in history))


def _check_backbone(path: Path, state: TrainingState, backbone_sha256: str) -> None:
    if state.backbone_sha256 != backbone_sha256:
        raise RunError(
            f"{path} was trained from other initial weights than --weights names now; "
            "use those again, or start a new run in another --out."
        )


def _load(network: nn.Module, tensors: Mapping[str, torch.Tensor], *, is_whole: bool) -> None:
    """Load the tensors into the network; where they are not all of its tensors, it keeps the others."""
    network.load_state_dict(tensors if is_whole else {**network.state_dict(), **tensors})
