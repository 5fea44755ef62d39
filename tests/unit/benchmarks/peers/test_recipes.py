"""Each recipe of others trains by the schedule that its documentation gives, and learns."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.recipes import RECIPES, Learner, follow, layer_thirds
from handlers.engines.network import Network
from tests.unit.training.helpers import small_network
from training.data.dataset import Batch

EPOCHS, STEPS = 8, 4


class Recorder:
    """A learner's batches, and the learning rates of every step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rates: list[list[float]] = []
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(16) % 2
        pixels = torch.randint(0, 100, (16, 16, 16, 3), dtype=torch.uint8, generator=generator)
        pixels[labels == 1] += 100
        self.batch = (pixels, labels)
        step = Learner.step

        def record(
            learner: Learner, optimizer: torch.optim.Optimizer, *args: object, **more: object
        ) -> None:
            self.rates.append([group["lr"] for group in optimizer.param_groups])
            step(learner, optimizer, *args, **more)

        monkeypatch.setattr(Learner, "step", record)

    def batches(self, _: int) -> Iterator[Batch]:
        return iter([self.batch] * STEPS)

    @torch.inference_mode()
    def loss(self, network: Network) -> float:
        return functional.cross_entropy(network.eval().logits(self.batch[0]), self.batch[1]).item()

    def learner(self, network: Network) -> Learner:
        return Learner(
            network=network, batches=self.batches, steps_per_epoch=STEPS, epochs=EPOCHS,
            class_count=2, validate=lambda: -self.loss(network),
        )  # fmt: skip


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_passes_all_epochs_and_learns(name: str, recorder: Recorder) -> None:
    torch.manual_seed(0)
    network = small_network()
    before = recorder.loss(network)
    RECIPES[name].train(recorder.learner(network))
    assert len(recorder.rates) == EPOCHS * STEPS
    assert recorder.loss(network) < before


def test_fastai_trains_the_head_first_and_then_the_backbone_slower(recorder: Recorder) -> None:
    network = small_network()
    RECIPES["fastai fine_tune"].train(recorder.learner(network))
    assert max(recorder.rates[:STEPS])[2] <= 2e-3
    peaks = [max(rates[group] for rates in recorder.rates[STEPS:]) for group in range(3)]
    assert peaks == pytest.approx([1e-5, 1e-4, 1e-3], rel=0.03)
    assert recorder.rates[STEPS][2] == pytest.approx(1e-3 / 5)


def test_torchvision_divides_its_rate_after_seven_epochs(recorder: Recorder) -> None:
    RECIPES["torchvision tutorial"].train(recorder.learner(small_network()))
    assert {rates[0] for rates in recorder.rates[: 7 * STEPS]} == {0.001}
    assert recorder.rates[-1][0] == pytest.approx(0.0001)


def test_timm_warms_up_for_five_epochs_to_a_rate_that_follows_the_batch(recorder: Recorder) -> None:
    RECIPES["timm train.py"].train(recorder.learner(small_network()))
    by_epoch = [rates[0] for rates in recorder.rates[::STEPS]]
    assert by_epoch[0] == 1e-5
    assert by_epoch[:5] == sorted(by_epoch[:5])
    assert by_epoch[5] == pytest.approx(0.0125 * (1 + math.cos(math.pi * 5 / EPOCHS)) / 2)


def test_ultralytics_rises_over_at_least_a_hundred_steps(recorder: Recorder) -> None:
    RECIPES["Ultralytics classify"].train(recorder.learner(small_network()))
    peak = 0.01 / 6
    assert recorder.rates[0][0] == 0
    assert recorder.rates[STEPS - 1][0] == pytest.approx(peak * 3 / 100)


def test_an_average_follows_numbers_and_copies_counters() -> None:
    average, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    network.weight.data += 1
    network.num_batches_tracked += 7
    follow(average, network, 0.75)
    assert average.weight.tolist() == [1.25, 1.25]
    assert average.num_batches_tracked == 7


def test_the_thirds_are_all_parameters_once() -> None:
    network = small_network()
    parts = layer_thirds(network)
    assert [id(p) for part in parts for p in part] == [id(p) for p in network.parameters()]
    assert len(parts[2]) == 2
