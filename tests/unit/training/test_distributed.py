"""What a process takes from torchrun's environment, and which device it gets."""

import pytest
import torch

from headswap.cli import main
from training.device import choose_device
from training.distributed import ProcessGroup, read_place
from training.errors import ConfigError

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "host-0", "MASTER_PORT": "29400",
}  # fmt: skip


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_torchrun_says_which_process_this_is() -> None:
    assert read_place(TORCHRUN) == ProcessGroup(rank=3, count=4, local_rank=1)


@pytest.mark.parametrize("said", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"WORLD_SIZE": ""}])
def test_without_torchrun_a_process_is_alone(said: dict[str, str]) -> None:
    place = read_place(said)
    assert place.is_rank_zero
    assert place.count == 1


@pytest.mark.parametrize(
    "words",
    [
        ["lr-find", "--data", "photos"],
        ["compare", "--data", "photos"],
        ["evaluate", "runs/first"],
        ["demo"],
    ],
)
def test_what_one_process_does_is_refused_by_several(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert main(words) == 2
    assert f"headswap {words[0]} works in one process" in capsys.readouterr().err


@pytest.mark.parametrize("missing", [name for name in TORCHRUN if name != "WORLD_SIZE"])
def test_half_an_environment_is_named(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"{missing} is not set.*torchrun"):
        read_place({**TORCHRUN, missing: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [("RANK", "4"), ("LOCAL_RANK", "4"), ("RANK", "-1"), ("LOCAL_RANK", "x"), ("WORLD_SIZE", "x")],
)
def test_nonsense_in_the_environment_is_an_error(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        read_place({**TORCHRUN, name: value})


def test_alone_nothing_is_shared() -> None:
    alone = ProcessGroup()
    assert alone.share([1, 2, 3]) == [1, 2, 3]
    assert alone.sum(2.5) == [2.5]
    assert alone.on_rank_zero(lambda: 7) == 7


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_are_the_whole_and_nearly_even(count: int) -> None:
    shares = [ProcessGroup(rank=rank, count=count).share(range(11)) for rank in range(count)]
    assert sorted(item for share in shares for item in share) == list(range(11))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("step_size", [1, 2, 5])
def test_shares_of_the_steps_are_the_share_of_the_epoch(count: int, step_size: int) -> None:
    order = list(range(11))
    for rank in range(count):
        ranks = ProcessGroup(rank=rank, count=count)
        steps = [
            order[ranks.share_of_step(first, min(first + step_size, 11))]
            for first in range(0, 11, step_size)
        ]
        assert sum(steps, []) == ranks.share(order)


def test_each_process_has_its_own_gpu(gpus: None) -> None:
    assert choose_device("auto", local_rank=1) == torch.device("cuda", 1)
    assert choose_device("cpu", local_rank=1) == torch.device("cpu")
    with pytest.raises(ConfigError, match="--nproc-per-node 2"):
        choose_device("auto", local_rank=2)


def test_no_gpu_is_an_error_only_where_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device cuda"):
        choose_device("cuda")
