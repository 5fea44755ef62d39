"""Which parts of the network an epoch trains: a function of its number alone, so that resuming needs no special case.

Frozen parts get no gradient, have dropout off, and keep BatchNorm's running statistics. Pretrained running statistics
are kept in the trained parts as well, unless --batchnorm-stats says otherwise.
"""

import math
from typing import Literal

from torch import nn

from handlers.engines.network import Network
from training.config import Freeze
from training.fit.batchnorm import freeze_batchnorm_stats

# A module with more than this share of the layers is divided further: torchvision keeps whole backbones in one
# `features`.
LARGEST_BLOCK_SHARE = 0.5
# Unfreezing takes this share of the whole network's epochs; in the rest everything is trained.
UNFREEZING_SHARE = 0.5


def set_trainable(
    network: Network, *, block_count: int, batchnorm_stats: Literal["frozen", "train"]
) -> None:
    """Make the head and the `block_count` backbone blocks next to it trainable, and freeze the others.

    With none the whole backbone is frozen, with all of `backbone_blocks` nothing is.
    """
    blocks = backbone_blocks(network)
    frozen_count = len(blocks) - block_count
    # What is outside of all blocks, such as a class token, is frozen along with the first of them; dropout layers
    # outside of them are on unless all are frozen.
    network.train(block_count > 0)
    for parameter in network.parameters():
        parameter.requires_grad_(frozen_count == 0)
    for index, block in enumerate(blocks):
        block.train(index >= frozen_count)
        for parameter in block.parameters():
            parameter.requires_grad_(index >= frozen_count)
    for parameter in network.head.parameters():
        parameter.requires_grad_(True)
    if batchnorm_stats == "frozen":
        freeze_batchnorm_stats(network)


def trainable_block_count(
    epoch: int, *, block_count: int, freeze: Freeze, frozen_epochs: int, epochs: int
) -> int:
    """Return how many of `block_count` backbone blocks, counted from the head, an epoch (from 0) trains.

    None in the first `frozen_epochs`. After those, with --freeze gradual, they are unfrozen evenly over the first half
    of the `epochs` of the whole network (Howard and Ruder, 2018).
    """
    if epoch < frozen_epochs:
        return 0
    if freeze != "gradual":
        return block_count
    unfreezing_epochs = max(1, math.ceil(epochs * UNFREEZING_SHARE))
    return min(
        block_count, math.ceil(block_count * (epoch - frozen_epochs + 1) / unfreezing_epochs)
    )


def backbone_blocks(network: Network) -> list[nn.Module]:
    """Return the parts of the backbone that have weights, in torchvision's order: from the input to the head.

    The head is in none of them.
    """
    head = network.head
    layers_max = LARGEST_BLOCK_SHARE * _layer_count(network.backbone_and_head)
    return _divide(network.backbone_and_head, head, layers_max=layers_max)


def _divide(module: nn.Module, head: nn.Module, *, layers_max: float) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for part in module.children():
        if part is head or not _layer_count(part):
            continue
        holds_head = any(inner is head for inner in part.modules())
        if holds_head or _layer_count(part) > layers_max:
            blocks += _divide(part, head, layers_max=layers_max)
        else:
            blocks.append(part)
    return blocks


def _layer_count(module: nn.Module) -> int:
    """Return how many modules in it, itself included, have weights of their own."""
    return sum(next(m.parameters(recurse=False), None) is not None for m in module.modules())
