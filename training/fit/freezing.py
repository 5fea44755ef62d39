"""Which part of the network learns: decided by the epoch's number alone, so resuming is nothing special.

Frozen means frozen: no gradient, no dropout, and BatchNorm's statistics stand still unless --moving-batchnorm says
otherwise. Those of pretrained weights stand still in what learns, too.
"""

import math

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from handlers.engines.network import Network
from training.config import TrainConfig
from training.fit.features import head_of

# A block of more than this share of the layers is cut finer: torchvision keeps whole bodies in one
# `features`.
LARGEST_SHARE = 0.5
# Thawing takes this share of the epochs; in the rest everything learns.
THAWING_SHARE = 0.5


def set_learning(network: Network, config: TrainConfig, epoch: int) -> None:
    """Put every weight and layer into the state that this epoch trains it in."""
    blocks = backbone_blocks(network)
    frozen_count = len(blocks) - learning_block_count(config, epoch, block_count=len(blocks))
    # What lies outside of all blocks, such as a token or a dropout layer, goes with the first.
    network.train(not config.is_backbone_frozen(epoch))
    for parameter in network.parameters():
        parameter.requires_grad_(frozen_count == 0)
    for number, block in enumerate(blocks):
        block.train(number >= frozen_count)
        for parameter in block.parameters():
            parameter.requires_grad_(number >= frozen_count)
    for parameter in head_of(network).parameters():
        parameter.requires_grad_(True)
    _move_statistics(network, config)


def learning_block_count(config: TrainConfig, epoch: int, *, block_count: int) -> int:
    """Return how many blocks of the body, counted from the head, learn in an epoch (from 0).

    With --freeze gradual they thaw evenly over the first half of the whole network's epochs (Howard
    and Ruder, 2018).
    """
    if config.is_backbone_frozen(epoch):
        return 0
    if config.freeze != "gradual":
        return block_count
    thawing_epochs = max(1, math.ceil(config.epochs * THAWING_SHARE))
    thawed_epochs = epoch - config.frozen_epochs + 1
    return min(block_count, math.ceil(block_count * thawed_epochs / thawing_epochs))


def backbone_blocks(network: Network) -> list[nn.Module]:
    """Return the parts of the body that have weights, in the order in which torchvision lists them:
    from the photo to the head, which is in none of them."""
    head = head_of(network)
    deepest = LARGEST_SHARE * _layer_count(network.backbone_and_head)
    return _cut(network.backbone_and_head, head, deepest=deepest)


def _cut(module: nn.Module, head: nn.Module, *, deepest: float) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for part in module.children():
        if part is head or not _layer_count(part):
            continue
        holds_head = any(inner is head for inner in part.modules())
        if holds_head or _layer_count(part) > deepest:
            blocks += _cut(part, head, deepest=deepest)
        else:
            blocks.append(part)
    return blocks


def _layer_count(module: nn.Module) -> int:
    """Return how many modules in it, itself included, have weights of their own."""
    return sum(next(one.parameters(recurse=False), None) is not None for one in module.modules())


def _move_statistics(network: Network, config: TrainConfig) -> None:
    moving = config.moving_statistics
    if moving == "learning":
        return
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train(moving == "all" and network.training)
