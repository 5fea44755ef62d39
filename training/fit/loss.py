"""What a step makes smaller, and the parts it is computed in."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch.nn import functional

from training.config import TrainConfig
from training.data.balance import class_weights
from training.data.dataset import Batch
from training.distributed import ProcessGroup

# BatchNorm cannot train on a single photo.
SMALLEST_PART = 2

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def make_loss(config: TrainConfig, counts: Sequence[int], device: torch.device) -> Loss:
    """Return the cross-entropy of logits `(B, K)` and labels `(B,)` or shares `(B, K)`, summed.

    Summed, because whoever divides by the photos of the whole step gets the same gradient however
    the step is split. `counts` are the training photos of each class.
    """
    weight = class_weights(counts).to(device) if config.balance == "loss" else None
    return partial(
        functional.cross_entropy,
        weight=weight,
        label_smoothing=config.smoothing,
        reduction="sum",
    )


def count_parts(photo_count: int, wanted: int, ranks: ProcessGroup) -> int:
    """Return in how many parts every process computes a step of so many photos in all."""
    return max(1, min(wanted, photo_count // (SMALLEST_PART * ranks.count)))


def split_batch(batch: Batch, part_count: int) -> Iterator[Batch]:
    """Yield this process's batch in so many parts, sizes equal give or take one."""
    inputs, labels = batch
    return zip(
        torch.tensor_split(inputs, part_count), torch.tensor_split(labels, part_count), strict=True
    )
