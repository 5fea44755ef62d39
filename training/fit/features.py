"""The frozen body's features, computed once: a head trains on them in a fraction of the time."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from handlers.engines.network import Network, find_head
from training.data.balance import balanced_order
from training.data.dataset import Batch
from training.distributed import ALONE, ProcessGroup


def head_of(network: Network) -> nn.Linear:
    head = network.backbone_and_head.get_submodule(find_head(network.backbone_and_head))
    assert isinstance(head, nn.Linear)
    return head


def compute_features(network: Network, batches: Iterable[Batch], device: torch.device) -> Batch:
    """Return what the head is given, `(N, D) float32`, and labels `(N,)`; nothing is trained."""
    caught: list[torch.Tensor] = []
    hook = head_of(network).register_forward_pre_hook(
        lambda _, inputs: caught.append(inputs[0].float().cpu())
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
    # Joined out here, because tensors made in inference mode cannot be trained on.
    return torch.cat(caught), torch.cat(labels)


def feature_batches(
    features: Batch,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    balanced: bool = False,
    ranks: ProcessGroup = ALONE,
) -> Iterator[Batch]:
    """Yield this process's features `(B, D)` and labels `(B,)` in an order that seed and epoch decide."""
    if balanced:
        drawn = balanced_order(features[1].numpy(), np.random.default_rng((seed, epoch)))
        order = torch.from_numpy(drawn)
    else:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(features[1]), generator=generator)
    for first in range(0, len(order), batch_size):
        part = order[ranks.share_of_step(first, min(first + batch_size, len(order)))]
        yield features[0][part], features[1][part]
