"""What is trained in which epoch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from handlers.engines.network import Network, build_network
from handlers.images.preprocessing import PreprocessingSpec
from tests.unit.training.helpers import config_of, freeze_for, optimizer_of, pixels, small_network
from training.config import TrainConfig
from training.fit.freezing import backbone_blocks, trainable_block_count


@pytest.fixture
def network() -> Network:
    return small_network()


@pytest.mark.parametrize(
    ("architecture", "least"),
    [
        ("resnet18", 6),
        ("efficientnet_b0", 9),
        ("efficientnet_lite0", 9),
        ("vgg16", 15),
        ("mobilenet_v3_small", 10),
        ("vit_b_16", 14),
    ],
)
def test_blocks_are_found_by_structure(architecture: str, least: int) -> None:
    with torch.device("meta"):
        built = build_network(
            architecture=architecture,
            class_count=2,
            preprocessing=PreprocessingSpec(image_size_px=32),
        )
    blocks = backbone_blocks(built)
    assert len(blocks) >= least
    in_blocks = [id(parameter) for block in blocks for parameter in block.parameters()]
    assert len(in_blocks) == len(set(in_blocks))
    head = {id(parameter) for parameter in built.head.parameters()}
    assert head.isdisjoint(in_blocks)
    # vit_b_16's class token and positions are outside of all blocks, and nothing else.
    outside = {
        name
        for name, parameter in built.named_parameters()
        if id(parameter) not in in_blocks and id(parameter) not in head
    }
    assert outside <= {
        "backbone_and_head.class_token",
        "backbone_and_head.encoder.pos_embedding",
    }


@given(epochs=st.integers(1, 60), block_count=st.integers(1, 30), head_epochs=st.integers(0, 5))
def test_blocks_are_unfrozen_one_after_the_other(
    epochs: int, block_count: int, head_epochs: int
) -> None:
    counts = [
        trainable_block_count(
            epoch,
            block_count=block_count,
            freeze="gradual",
            frozen_epochs=head_epochs,
            epochs=epochs,
        )
        for epoch in range(head_epochs + epochs)
    ]
    assert counts == sorted(counts)
    assert counts[:head_epochs] == [0] * head_epochs
    assert counts[head_epochs] >= 1
    assert set(counts[head_epochs + math.ceil(epochs / 2) :]) <= {block_count}
    assert counts[-1] == block_count


def train_once(network: Network, config: TrainConfig, epoch: int) -> set[str]:
    """Return the names of the tensors that a step of this epoch changes."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = optimizer_of(network, config)
    freeze_for(network, config, epoch)
    nn.functional.cross_entropy(network.logits(pixels(4)), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    return {
        name.removeprefix("backbone_and_head.").removesuffix(".num_batches_tracked")
        for name, tensor in network.state_dict().items()
        if not torch.equal(before[name], tensor)
    }


STATISTICS_OF_ONE = {"one.1", "one.1.running_mean", "one.1.running_var"}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_what_is_frozen_stays_bit_identical(network: Network, optimizer: str) -> None:
    config = config_of(freeze="gradual", epochs=8, head_epochs=1, optimizer=optimizer)

    def changed_in(epoch: int) -> set[str]:
        return {name.split(".")[0] for name in train_once(network, config, epoch)}

    assert changed_in(0) == {"fc"}
    assert changed_in(1) == {"fc", "four"}
    assert changed_in(3) == {"fc", "four", "three", "two"}
    assert changed_in(8) == {"fc", "four", "three", "two", "one"}


def test_trained_statistics_are_updated_in_the_trained_layers_alone(network: Network) -> None:
    gradual = config_of(freeze="gradual", epochs=8, head_epochs=0, batchnorm_stats="train")
    assert STATISTICS_OF_ONE.isdisjoint(train_once(network, gradual, 0))
    assert train_once(network, gradual, 7) >= STATISTICS_OF_ONE


def test_frozen_statistics_stay_while_weights_and_biases_are_trained(network: Network) -> None:
    changed = train_once(network, config_of(batchnorm_stats="frozen", head_epochs=0), 0)
    assert STATISTICS_OF_ONE.isdisjoint(changed)
    assert changed >= {"one.1.weight", "one.1.bias"}
