"""BatchNorm's running statistics: frozen or trained, in one process or several.

GPU processes normalise over the whole batch by torch.nn.SyncBatchNorm, so that training on two computes what training
on one does. SyncBatchNorm does not support the CPU: there, statistics being trained are those of each process's own
photos, and process 0's are copied to the others after each epoch, so that what is validated is what is saved.
"""

from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.distributed import ProcessGroup
from training.fit.compiling import Forward

Stats = Literal["frozen", "train"]
# A single photo has no variance where a layer's output is one pixel.
LOCAL_BATCH_MIN = 2


def has_local_statistics(network: nn.Module, stats: Stats, group: ProcessGroup) -> bool:
    """Say whether each process normalises by its own photos: several CPU processes that train statistics."""
    has_batchnorm = any(isinstance(layer, _BatchNorm) for layer in network.modules())
    return (
        has_batchnorm and stats == "train" and group.world_size > 1 and group.device.type == "cpu"
    )


def convert_batchnorm(network: nn.Module, stats: Stats, group: ProcessGroup) -> None:
    """Convert the network's BatchNorm layers to SyncBatchNorm in place, for several GPU processes that train them."""
    if stats == "train" and group.world_size > 1 and group.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]


def freeze_batchnorm_stats(network: nn.Module) -> None:
    """Put every BatchNorm layer into evaluation mode; its weight and bias may still be trained."""
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()


def with_local_batch_min(forward: Forward, network: nn.Module) -> Forward:
    """Return `forward` such that a batch of fewer than LOCAL_BATCH_MIN photos uses the running statistics as they are.

    The last batch of an epoch may leave a process with one photo or none.
    """

    def run(pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) >= LOCAL_BATCH_MIN:
            return forward(pixels)
        trained = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.training]
        for layer in trained:
            layer.eval()
        try:
            return forward(pixels)
        finally:
            for layer in trained:
                layer.train()

    return run
