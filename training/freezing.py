"""Which part of the network learns: decided by the epoch's number alone."""

from handlers.network import Network
from training.features import head_of


def freeze_body(network: Network, *, frozen: bool) -> None:
    """Say which parameters learn (the head always, the body unless it is frozen) and move what
    only moves in training, such as BatchNorm's statistics, with them."""
    network.train(not frozen)
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen)
    for parameter in head_of(network).parameters():
        parameter.requires_grad_(True)
