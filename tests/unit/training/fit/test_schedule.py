"""The learning rate over a run."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.engines.network import Network
from tests.unit.training.helpers import config_of, small_network
from training.fit.optimizer import make_average, make_optimizer, set_learning_rates
from training.fit.schedule import cosine, learning_rate_at


@pytest.fixture
def network() -> Network:
    return small_network()


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
@pytest.mark.parametrize("warmup_epochs", [0.0, 2.5, 1000.0])
def test_each_stage_reaches_its_highest_rate_once_and_ends_near_0(
    schedule: str, warmup_epochs: float
) -> None:
    config = config_of(
        schedule=schedule, warmup_epochs=warmup_epochs, head_epochs=6, epochs=10,
        learning_rate=0.01, head_learning_rate=0.03,
    )  # fmt: skip
    rates = [
        learning_rate_at(config, epoch, step / 50) for epoch in range(16) for step in range(50)
    ]
    for stage, highest in ((rates[:300], 0.03), (rates[300:], 0.01)):
        peak = stage.index(max(stage))
        assert max(stage) == pytest.approx(highest, rel=1e-3)
        assert stage[: peak + 1] == sorted(stage[: peak + 1])
        assert stage[peak:] == sorted(stage[peak:], reverse=True)
        assert stage[-1] < highest * 1e-3


def test_warm_up_takes_the_epochs_it_is_given() -> None:
    config = config_of(schedule="cosine", warmup_epochs=2, epochs=10, head_epochs=0)
    rates = [learning_rate_at(config, epoch, 0) for epoch in range(10)]
    assert rates.index(max(rates)) == 2
    assert rates[0] == pytest.approx(config.learning_rate / 25)


@given(st.floats(0, 1), st.floats(0, 0.5))
def test_cosine_stays_between_0_and_1(position: float, warm_up_share: float) -> None:
    assert 0 <= cosine(position, warm_up_share=warm_up_share) <= 1 + math.ulp(1)


def test_the_body_learns_slower_unless_it_starts_from_nothing(network: Network) -> None:
    for weights, ratio in (("embedded", 0.25), ("none", 1)):
        config = config_of(weights=weights, backbone_lr_ratio=0.25)
        optimizer = make_optimizer(network, config)
        set_learning_rates(optimizer, 0.1, config)
        rates = {group["part"]: group["lr"] for group in optimizer.param_groups}
        assert rates == {"head": 0.1, "body": pytest.approx(0.1 * ratio)}


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_all_groups_are_there_from_the_start_and_only_matrices_decay(
    network: Network, name: str, kind: type
) -> None:
    optimizer = make_optimizer(network, config_of(optimizer=name, weight_decay=0.1))
    assert isinstance(optimizer, kind)
    grouped = [one for group in optimizer.param_groups for one in group["params"]]
    assert {id(one) for one in grouped} == {id(one) for one in network.parameters()}
    for group in optimizer.param_groups:
        assert {one.ndim > 1 for one in group["params"]} == {group["weight_decay"] > 0}


def test_an_average_of_a_constant_is_that_constant(network: Network) -> None:
    average = make_average(network, config_of(ema_decay=0.9))
    assert average is not None
    network.backbone_and_head.one[1].num_batches_tracked.fill_(7)
    for _ in range(50):
        average.update_parameters(network)
    for name, tensor in network.state_dict().items():
        assert torch.equal(average.module.state_dict()[name], tensor), name
