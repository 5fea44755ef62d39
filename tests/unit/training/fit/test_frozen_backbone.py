"""What a frozen backbone saves: its part of last.pt and of the average, and the forward pass through it."""

from pathlib import Path

import pytest
import torch

from tests.unit.training.helpers import CPU, config_of, optimizer_of, pixels, small_network
from training.distributed import SINGLE_PROCESS
from training.errors import RunError
from training.fit.checkpoint import Score, TrainingState, load_checkpoint, save_checkpoint
from training.fit.features import compute_features
from training.fit.optimizer import make_average, update_average


def state_of(seed: int = 0) -> TrainingState:
    network = small_network()
    torch.manual_seed(seed)
    for parameter in network.head.parameters():
        torch.nn.init.normal_(parameter)
    return TrainingState(
        network=network,
        average=make_average(network, 0.5),
        interpolation=None,
        optimizer=optimizer_of(network, config_of()),
        scaler=torch.amp.GradScaler(CPU.type, enabled=False),
        best=Score(),
    )


def change_backbone(state: TrainingState) -> None:
    state.network.backbone_and_head.get_submodule("three").bias.data += 1


def test_the_head_alone_is_saved_and_the_whole_network_is_loaded(tmp_path: Path) -> None:
    state, path = state_of(), tmp_path / "last.pt"
    save_checkpoint(path, state, finished_epochs=3, is_backbone_frozen=True)
    saved = torch.load(path, weights_only=True)
    head = {"backbone_and_head.fc.weight", "backbone_and_head.fc.bias"}
    assert saved["network"].keys() == head
    assert saved["average"].keys() == {f"module.{name}" for name in head} | {"n_averaged"}
    resumed = state_of(seed=1)
    assert load_checkpoint(path, resumed, SINGLE_PROCESS) == 3
    for one, two in ((state.network, resumed.network), (state.average, resumed.average)):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, two.state_dict()[name]), name


def test_a_trained_backbone_is_saved_too(tmp_path: Path) -> None:
    state, path = state_of(), tmp_path / "last.pt"
    change_backbone(state)
    save_checkpoint(path, state, finished_epochs=3, is_backbone_frozen=False)
    resumed = state_of(seed=1)
    load_checkpoint(path, resumed, SINGLE_PROCESS)
    photos = pixels(2)
    assert torch.equal(resumed.network.eval()(photos), state.network.eval()(photos))


def test_other_initial_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, state_of(), finished_epochs=3, is_backbone_frozen=True)
    other = state_of()
    change_backbone(other)
    with pytest.raises(RunError, match="other initial weights"):
        load_checkpoint(path, other, SINGLE_PROCESS)


def test_the_average_of_the_head_alone_is_the_average_of_all() -> None:
    alone, whole = state_of(), state_of()
    for step in range(4):
        for state, head_only in ((alone, True), (whole, False)):
            for parameter in state.network.head.parameters():
                parameter.data += step
            update_average(state.average, state.network, head_only=head_only)
    for name, tensor in whole.average.state_dict().items():
        assert torch.equal(tensor, alone.average.state_dict()[name]), name
    assert not torch.equal(whole.averaged_network.head.bias, whole.network.head.bias)


def test_the_head_can_be_trained_on_the_features() -> None:
    network, photos = small_network(), pixels(4)
    features, labels = compute_features(network, [(photos, torch.arange(4))], CPU)
    assert torch.equal(network.head(features), network.logits(photos))
    torch.autograd.backward(network.head(features).sum())
    assert network.head.weight.grad is not None
    assert labels.tolist() == [0, 1, 2, 3]
