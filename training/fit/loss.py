"""The loss of a step, and the parts that the step is computed in."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch.nn import functional

from training.config import Balance
from training.data.balance import class_weights
from training.data.dataset import Batch
from training.distributed import ProcessGroup

# BatchNorm cannot train on a single photo.
PART_SIZE_MIN = 2

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def make_loss(
    class_counts: Sequence[int], device: torch.device, *, balance: Balance, label_smoothing: float
) -> Loss:
    """Return the summed cross-entropy of logits `(B, K)` and labels `(B,)` or class probabilities `(B, K)`.

    A sum, because divided by the photos of the whole step it has the same gradient however the step is divided into
    parts and processes. `class_counts` are the training photos of each class.
    """
    weight = class_weights(class_counts).to(device) if balance == "loss" else None
    return partial(
        functional.cross_entropy, weight=weight, label_smoothing=label_smoothing, reduction="sum"
    )


def count_parts(photo_count: int, wanted: int, group: ProcessGroup) -> int:
    """Return in how many parts every process computes its shard of a batch of `photo_count` photos."""
    return max(1, min(wanted, photo_count // (PART_SIZE_MIN * group.world_size)))


def split_batch(batch: Batch, part_count: int) -> Iterator[Batch]:
    """Yield this process's batch in `part_count` parts, whose sizes differ by at most 1."""
    inputs, targets = batch
    return zip(
        torch.tensor_split(inputs, part_count), torch.tensor_split(targets, part_count), strict=True
    )
