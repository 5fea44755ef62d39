"""What learns in which epoch, and when a run ends."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from handlers.engines.network import Network, build_network
from handlers.images.preprocessing import PreprocessingSpec
from tests.unit.training.helpers import config_of, pixels, small_network
from training.config import TrainConfig
from training.errors import ConfigError
from training.fit.features import head_of
from training.fit.freezing import backbone_blocks, learning_block_count, set_learning
from training.fit.optimizer import make_optimizer
from training.fit.patience import is_out_of_patience
from training.fit.schedule import learning_rate_at


@pytest.fixture
def network() -> Network:
    return small_network()


@pytest.mark.parametrize(
    ("architecture", "least"),
    [
        ("resnet18", 6),
        ("efficientnet_b0", 9),
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
    held = [id(one) for block in blocks for one in block.parameters()]
    assert len(held) == len(set(held))
    head = {id(one) for one in head_of(built).parameters()}
    assert head.isdisjoint(held)
    # vit_b_16's class token and positions lie outside of all blocks, and nothing else.
    left = {n for n, one in built.named_parameters() if id(one) not in held and id(one) not in head}
    assert left <= {"backbone_and_head.class_token", "backbone_and_head.encoder.pos_embedding"}


@given(epochs=st.integers(1, 60), block_count=st.integers(1, 30), head_epochs=st.integers(0, 5))
def test_blocks_thaw_one_after_the_other(epochs: int, block_count: int, head_epochs: int) -> None:
    config = config_of(freeze="gradual", epochs=epochs, head_epochs=head_epochs)
    counts = [
        learning_block_count(config, epoch, block_count=block_count)
        for epoch in range(config.total_epochs)
    ]
    assert counts == sorted(counts)
    assert counts[:head_epochs] == [0] * head_epochs
    assert counts[head_epochs] >= 1
    assert set(counts[head_epochs + math.ceil(epochs / 2) :]) <= {block_count}
    assert counts[-1] == block_count


def learn_once(network: Network, config: TrainConfig, epoch: int) -> set[str]:
    """Return the names of the tensors that a step of this epoch changes."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = make_optimizer(network, config)
    set_learning(network, config, epoch)
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
    assert {name.split(".")[0] for name in learn_once(network, config, 0)} == {"fc"}
    assert {name.split(".")[0] for name in learn_once(network, config, 1)} == {"fc", "four"}
    assert {name.split(".")[0] for name in learn_once(network, config, 3)} == {
        "fc", "four", "three", "two",
    }  # fmt: skip
    assert {name.split(".")[0] for name in learn_once(network, config, 8)} == {
        "fc", "four", "three", "two", "one",
    }  # fmt: skip


def test_statistics_move_where_they_are_told_to(network: Network) -> None:
    thawing = {"freeze": "gradual", "epochs": 8, "head_epochs": 0}
    still = learn_once(network, config_of(**thawing), 0)
    assert STATISTICS_OF_ONE.isdisjoint(still)
    moving = learn_once(network, config_of(**thawing, moving_batchnorm="all"), 0)
    assert moving >= STATISTICS_OF_ONE
    assert {name for name in moving if name.startswith("one.")} == STATISTICS_OF_ONE
    learning = learn_once(network, config_of(moving_batchnorm="learning", head_epochs=0), 0)
    assert learning >= STATISTICS_OF_ONE
    none = learn_once(network, config_of(moving_batchnorm="none", head_epochs=0), 0)
    assert STATISTICS_OF_ONE.isdisjoint(none)
    assert "one.1.weight" in none


@pytest.mark.parametrize(("weights", "is_moving"), [("embedded", False), ("none", True)])
def test_statistics_stand_still_unless_there_are_none_yet(
    network: Network, weights: str, is_moving: bool
) -> None:
    changed = learn_once(network, config_of(weights=weights, head_epochs=0), 0)
    assert (changed >= STATISTICS_OF_ONE) is is_moving
    assert is_moving or STATISTICS_OF_ONE.isdisjoint(changed)


def history(*val: tuple[bool, float]) -> list[dict[str, object]]:
    return [{"frozen": frozen, "val_accuracy": a, "val_loss": 1.0} for frozen, a in val]


def test_patience_ends_when_val_has_not_become_better() -> None:
    config = config_of(patience_epochs=2)
    assert not is_out_of_patience(history((False, 0.5), (False, 0.4)), config)
    assert is_out_of_patience(history((False, 0.5), (False, 0.4), (False, 0.5)), config)
    assert not is_out_of_patience(history((False, 0.5), (False, 0.4), (False, 0.6)), config)


def test_the_heads_own_epochs_cost_no_patience() -> None:
    lines = history((True, 0.9), (True, 0.1), (True, 0.1), (False, 0.2), (False, 0.1))
    assert not is_out_of_patience(lines, config_of(patience_epochs=2))
    assert not is_out_of_patience(lines[:3], config_of(patience_epochs=2))
    assert is_out_of_patience(lines[:3], config_of(patience_epochs=2, freeze="body"))
    assert not is_out_of_patience(lines[:3], config_of(freeze="body"))


@pytest.mark.parametrize("freeze", ["body", "gradual"])
def test_a_body_that_has_learned_nothing_is_never_kept_still(freeze: str) -> None:
    with pytest.raises(ConfigError, match="--weights none"):
        config_of(weights="none", freeze=freeze)


def test_from_scratch_no_epoch_is_spent_on_the_head_alone() -> None:
    config = config_of(weights="none", head_epochs=5, epochs=3)
    assert config.total_epochs == 3
    assert not config.is_backbone_frozen(0)
    assert learning_rate_at(config, 2, 1) == pytest.approx(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"clip_norm": 0.0}, {"clip_norm": math.nan}, {"accumulate_steps": 0},
        {"accumulate_steps": 33, "batch_size": 32}, {"patience_epochs": -1}, {"warmup_epochs": -1.0},
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="--" + next(iter(changes)).replace("_", "-")):
        config_of(**changes)
