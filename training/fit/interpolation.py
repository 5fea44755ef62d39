"""Weights between those of the head-only network and those of the fine-tuned one.

Wortsman et al., Robust fine-tuning of zero-shot models, 2022 (WiSE-FT). What is validated and saved lies part of the
way from one to the other: the better features are kept, and what a few photos taught by chance is damped. A network
serves as fast wherever its weights lie.
"""

import copy
from collections.abc import Mapping

import torch

from handlers.engines.network import Network

# Train photos per class with which the saved weights lie half-way.
HALF_WAY_PHOTOS = 10


def share_of(photos_per_class: float) -> float:
    """Return how far to go from the head-only network, 0..1: the further, the more photos fine-tuning learned from.

    It shrinks what was learned as a mean of few values is shrunk towards a prior.
    """
    return photos_per_class / (photos_per_class + HALF_WAY_PHOTOS)


class Interpolation:
    """The head-only network, and one whose weights lie `share` of the way, 0..1, from it to the network in training."""

    def __init__(self, network: Network, share: float) -> None:
        self.head_only = copy.deepcopy(network)
        self.network = copy.deepcopy(network)
        self.share = share

    def start_from(self, network: Network) -> None:
        """Take this network, whose head alone has been trained, for the head-only one."""
        self.head_only.load_state_dict(network.state_dict())

    def update(self, network: Network) -> Network:
        """Return the network between the head-only one and this one; counters are this one's."""
        state = interpolate(self.head_only.state_dict(), network.state_dict(), self.share)
        self.network.load_state_dict(state)
        return self.network


def interpolate(
    start: Mapping[str, torch.Tensor], end: Mapping[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Return `share`, in 0..1, of the way from the tensors of `start` to those of `end`; integers are those of `end`.

    0 and 1 give the very numbers of `start` and `end`.
    """
    return {
        name: torch.lerp(start[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }
