"""The weights between the head-only and the fine-tuned network: exact ends, and the same after an interruption."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from handlers.engines.network import Network
from tests.unit.training.helpers import CPU, config_of, optimizer_of, pixels, small_network
from training.distributed import SINGLE_PROCESS
from training.errors import RunError
from training.fit.checkpoint import (
    Score,
    TrainingState,
    is_as_good,
    load_checkpoint,
    save_checkpoint,
    save_epoch,
)
from training.fit.interpolation import Interpolation, interpolate, share_of
from training.fit.optimizer import make_average
from training.run import Run


def state_of(*, share: float, ema_decay: float = 0.0) -> TrainingState:
    network = small_network()
    return TrainingState(
        network=network,
        average=make_average(network, ema_decay),
        interpolation=Interpolation(network, share),
        optimizer=optimizer_of(network, config_of()),
        scaler=torch.amp.GradScaler(CPU.type, enabled=False),
        best=Score(),
    )


def move(network: Network, amount: float, *, head_only: bool = False) -> None:
    part = network.head if head_only else network
    for parameter in part.parameters():
        parameter.data += amount


def metrics_of(accuracy: float, *, epoch: int = 1, frozen: bool = False) -> dict[str, object]:
    return {"epoch": epoch, "frozen": frozen, "val_accuracy": accuracy, "val_loss": 1.0}


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1), st.floats(-1e6, 1e6, width=32))
def test_the_ends_are_the_very_networks(values: list[float], other: float) -> None:
    start = {"weight": torch.tensor(values), "count": torch.tensor(1)}
    end = {"weight": torch.full((len(values),), other), "count": torch.tensor(9)}
    assert torch.equal(interpolate(start, end, 0.0)["weight"], start["weight"])
    assert torch.equal(interpolate(start, end, 1.0)["weight"], end["weight"])
    assert interpolate(start, end, 0.25)["count"] == 9


def test_more_photos_go_further() -> None:
    shares = [share_of(photos) for photos in (1, 10, 50, 10_000)]
    assert shares == sorted(shares)
    assert shares[1] == 0.5
    assert 0 < shares[0] < shares[-1] < 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True), ({"finetuned_share": 1.0}, False), ({"freeze": "backbone"}, False),
        ({"weights": "none"}, False), ({"head_epochs": 0}, False), ({"epochs": 0}, False),
    ],
)  # fmt: skip
def test_weights_are_interpolated_where_the_head_and_then_more_is_trained(
    changes: dict[str, object], expected: bool
) -> None:
    assert config_of(**changes).interpolates is expected


def test_the_saved_weights_lie_between_head_only_and_fine_tuned(tmp_path: Path) -> None:
    run, state = Run(folder=tmp_path), state_of(share=0.25)
    initial = {k: v.clone() for k, v in state.network.backbone_and_head.state_dict().items()}
    move(state.network, 1, head_only=True)
    state.interpolation.start_from(state.network)
    move(state.network, 4)
    save_epoch(run, state, metrics_of(0.9), val_count=10)
    saved = load_file(run.best_path)
    assert torch.allclose(saved["three.weight"], initial["three.weight"] + 1)
    assert torch.allclose(saved["fc.weight"], initial["fc.weight"] + 2)


def test_while_the_backbone_is_frozen_nothing_is_interpolated() -> None:
    state = state_of(share=0.25)
    move(state.network, 1, head_only=True)
    assert state.network_to_save(is_backbone_frozen=True) is state.network


def test_averaged_weights_are_what_is_interpolated_to() -> None:
    state = state_of(share=1.0, ema_decay=0.5)
    move(state.averaged_network, 3)
    bias = state.network_to_save(is_backbone_frozen=False).head.bias
    assert torch.equal(bias, state.averaged_network.head.bias)
    assert not torch.equal(bias, state.network.head.bias)


def test_a_resumed_state_interpolates_to_the_same_weights(tmp_path: Path) -> None:
    state, path = state_of(share=0.3), tmp_path / "last.pt"
    save_checkpoint(path, state, finished_epochs=1, is_backbone_frozen=True)
    move(state.network, 1, head_only=True)
    state.interpolation.start_from(state.network)
    move(state.network, 4)
    save_checkpoint(path, state, finished_epochs=2, is_backbone_frozen=False)
    # Of the head-only network, its head alone is written.
    checkpoint = torch.load(path, weights_only=True)
    assert len(checkpoint["head_only"]) == 2 < len(checkpoint["network"])
    resumed = state_of(share=0.3)
    assert load_checkpoint(path, resumed, SINGLE_PROCESS) == 2
    photos = pixels(2)
    one, two = (
        of.network_to_save(is_backbone_frozen=False).eval()(photos) for of in (state, resumed)
    )
    assert torch.equal(one, two)


def test_other_initial_weights_are_refused_after_the_backbone_was_trained(tmp_path: Path) -> None:
    state, path = state_of(share=0.3), tmp_path / "last.pt"
    save_checkpoint(path, state, finished_epochs=1, is_backbone_frozen=True)
    move(state.network, 1)
    save_checkpoint(path, state, finished_epochs=2, is_backbone_frozen=False)
    other = state_of(share=0.3)
    move(other.network, 2)
    with pytest.raises(RunError, match="other initial weights"):
        load_checkpoint(path, other, SINGLE_PROCESS)


@pytest.mark.parametrize(
    ("val_count", "best", "accuracy", "expected"),
    [
        # One photo of 14 wrong where an earlier epoch had none, and three of them.
        (14, 1.0, 13 / 14, True),
        (14, 1.0, 11 / 14, False),
        # 7 points are chance on 100 photos, and not on 10,000.
        (100, 0.8, 0.73, True),
        (10_000, 0.8, 0.79, False),
        (1, 1.0, 1.0, True),
    ],
)
def test_a_later_epoch_is_as_good_within_two_standard_errors(
    val_count: int, best: float, accuracy: float, expected: bool
) -> None:
    assert is_as_good(Score(accuracy), Score(best), val_count=val_count) is expected


def test_the_last_epoch_that_is_as_good_as_the_best_is_saved(tmp_path: Path) -> None:
    run, state = Run(folder=tmp_path), state_of(share=1.0)
    before = state.network.head.bias.clone().detach()
    kept = []
    # Each is compared with the best, so small steps down do not add up.
    for epoch, accuracy in enumerate((0.70, 0.80, 0.73, 0.70, 0.78, 0.50), 1):
        move(state.network, 1)
        save_epoch(run, state, metrics_of(accuracy, epoch=epoch), val_count=100)
        kept.append(round((load_file(run.best_path)["fc.bias"] - before).mean().item()))
    assert kept == [1, 2, 3, 3, 5, 5]
    assert state.best.accuracy == 0.80
