"""The learning rate over a run, and the parameter groups that it is set for."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.engines.network import Network
from tests.unit.training.helpers import config_of, optimizer_of, small_network
from training.fit.optimizer import make_average, set_learning_rates
from training.fit.schedule import cosine, learning_rate_at


@pytest.fixture
def network() -> Network:
    return small_network()


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
@pytest.mark.parametrize("warmup_epochs", [0.0, 2.5, 1000.0])
@pytest.mark.parametrize("epochs", [6, 10])
def test_the_learning_rate_reaches_its_peak_once_and_ends_near_0(
    schedule: str, warmup_epochs: float, epochs: int
) -> None:
    rates = [
        learning_rate_at(
            step / 50, epochs=epochs, peak=0.03, schedule=schedule, warmup_epochs=warmup_epochs
        )
        for step in range(epochs * 50)
    ]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.03, rel=1e-3)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.03 * 1e-3


def test_warmup_takes_the_epochs_it_is_given() -> None:
    rates = [
        learning_rate_at(epoch, epochs=10, peak=1.0, schedule="cosine", warmup_epochs=2)
        for epoch in range(10)
    ]
    assert rates.index(max(rates)) == 2
    assert rates[0] == pytest.approx(1 / 25)


@given(st.floats(0, 1), st.floats(0, 0.5))
def test_cosine_stays_between_0_and_1(progress: float, warmup_share: float) -> None:
    assert 0 <= cosine(progress, warmup_share=warmup_share) <= 1 + math.ulp(1)


def test_the_backbone_has_its_own_learning_rate(network: Network) -> None:
    optimizer = optimizer_of(network, config_of())
    set_learning_rates(optimizer, 0.1, backbone_lr_ratio=0.25)
    rates = {group["part"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"head": 0.1, "backbone": pytest.approx(0.025)}


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_all_parameters_are_there_from_the_start_and_only_matrices_decay(
    network: Network, name: str, kind: type
) -> None:
    optimizer = optimizer_of(network, config_of(optimizer=name, weight_decay=0.1))
    assert isinstance(optimizer, kind)
    grouped = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in network.parameters()}
    for group in optimizer.param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}


def test_an_average_of_a_constant_is_that_constant(network: Network) -> None:
    average = make_average(network, 0.9)
    assert average is not None
    network.backbone_and_head.one[1].num_batches_tracked.fill_(7)
    for _ in range(50):
        average.update_parameters(network)
    for name, tensor in network.state_dict().items():
        assert torch.equal(average.module.state_dict()[name], tensor), name
