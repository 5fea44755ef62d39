"""The frozen backbone's features, computed once: the head trains on them in a fraction of the time."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from handlers.engines.network import Network
from training.data.balance import balanced_order
from training.data.dataset import Batch
from training.distributed import SINGLE_PROCESS, ProcessGroup


def compute_features(network: Network, batches: Iterable[Batch], device: torch.device) -> Batch:
    """Return the head's inputs `(N, D) float32` and labels `(N,)`, both on the CPU; leaves the network in eval mode."""
    head_inputs: list[torch.Tensor] = []
    hook = network.head.register_forward_pre_hook(
        lambda _, inputs: head_inputs.append(inputs[0].float().cpu())
    )
    labels = []
    try:
        network.eval()
        with torch.inference_mode():
            for pixels, batch_labels in batches:
                network.logits(pixels.to(device))
                labels.append(batch_labels)
    finally:
        hook.remove()
    # Concatenated out here, because tensors made in inference mode cannot be trained on.
    return torch.cat(head_inputs), torch.cat(labels)


def feature_batches(
    features: Batch,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    balanced: bool = False,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Iterator[Batch]:
    """Yield this process's features `(B, D)` and targets, in the order that seed and epoch decide.

    Targets are labels `(B,)` or class probabilities `(B, K)`, as they are given.
    """
    if balanced:
        targets = features[1].cpu()
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        balanced_indices = balanced_order(labels.numpy(), np.random.default_rng((seed, epoch)))
        order = torch.from_numpy(balanced_indices)
    else:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(features[1]), generator=generator)
    for start in range(0, len(order), batch_size):
        part = order[group.shard_of_batch(start, min(start + batch_size, len(order)))]
        yield features[0][part], features[1][part]
