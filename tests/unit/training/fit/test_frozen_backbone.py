"""What a frozen body spares: its share of last.pt, of the average, and threads that a small step cannot use."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.unit.training.helpers import CPU, config_of, pixels, small_network
from training.distributed import ALONE
from training.errors import RunError
from training.fit.checkpoint import Score, State, load_checkpoint, save_checkpoint
from training.fit.features import compute_features, head_of
from training.fit.optimizer import make_average, make_optimizer, update_average
from training.fit.threads import SHARED_MULTIPLICATIONS, one_thread_for


def state_of(seed: int = 0) -> State:
    config = config_of(ema_decay=0.5)
    network = small_network()
    torch.manual_seed(seed)
    for parameter in head_of(network).parameters():
        torch.nn.init.normal_(parameter)
    return State(
        network=network,
        average=make_average(network, config),
        optimizer=make_optimizer(network, config),
        scaler=torch.amp.GradScaler(CPU.type, enabled=False),
        best=Score(),
    )


def change_body(state: State) -> None:
    state.network.backbone_and_head.get_submodule("three").bias.data += 1


def test_the_head_alone_is_saved_and_the_whole_comes_back(tmp_path: Path) -> None:
    state, path = state_of(), tmp_path / "last.pt"
    save_checkpoint(path, state, finished_epochs=3, is_backbone_frozen=True)
    saved = torch.load(path, weights_only=True)
    head = {"backbone_and_head.fc.weight", "backbone_and_head.fc.bias"}
    assert saved["network"].keys() == head
    assert saved["average"].keys() == {f"module.{name}" for name in head} | {"n_averaged"}
    resumed = state_of(seed=1)
    assert load_checkpoint(path, resumed, ALONE) == 3
    for one, two in ((state.network, resumed.network), (state.average, resumed.average)):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, two.state_dict()[name]), name


def test_a_body_that_learned_is_saved_whole(tmp_path: Path) -> None:
    state, path = state_of(), tmp_path / "last.pt"
    change_body(state)
    save_checkpoint(path, state, finished_epochs=3, is_backbone_frozen=False)
    resumed = state_of(seed=1)
    load_checkpoint(path, resumed, ALONE)
    photos = pixels(2)
    assert torch.equal(resumed.network.eval()(photos), state.network.eval()(photos))


def test_other_starting_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, state_of(), finished_epochs=3, is_backbone_frozen=True)
    other = state_of()
    change_body(other)
    with pytest.raises(RunError, match="other starting weights"):
        load_checkpoint(path, other, ALONE)


def test_the_average_of_the_head_alone_is_the_average_of_all() -> None:
    alone, whole = state_of(), state_of()
    for step in range(4):
        for state, head_alone in ((alone, True), (whole, False)):
            for parameter in head_of(state.network).parameters():
                parameter.data += step
            update_average(state.average, state.network, head_alone=head_alone)
    for name, tensor in whole.average.state_dict().items():
        assert torch.equal(tensor, alone.average.state_dict()[name]), name
    assert not torch.equal(head_of(whole.judged).bias, head_of(whole.network).bias)


def test_a_head_learns_from_features_as_they_come() -> None:
    network, photos = small_network(), pixels(4)
    features, labels = compute_features(network, [(photos, torch.arange(4))], CPU)
    assert torch.equal(head_of(network)(features), network.logits(photos))
    torch.autograd.backward(head_of(network)(features).sum())
    assert head_of(network).weight.grad is not None
    assert labels.tolist() == [0, 1, 2, 3]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_small_step_has_one_thread_and_a_large_one_all() -> None:
    with one_thread_for(SHARED_MULTIPLICATIONS):
        assert torch.get_num_threads() == 2
    with one_thread_for(SHARED_MULTIPLICATIONS - 1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
