"""What a process reads from torchrun's environment variables, and which device it trains on."""

import pytest
import torch

from headswap.cli import main
from training.distributed import ProcessGroup, choose_device, read_torchrun_environment
from training.errors import ConfigError

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "host-0", "MASTER_PORT": "29400",
}  # fmt: skip


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_torchrun_sets_rank_and_world_size() -> None:
    assert read_torchrun_environment(TORCHRUN) == ProcessGroup(rank=3, world_size=4, local_rank=1)


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"WORLD_SIZE": ""}])
def test_without_torchrun_there_is_one_process(environment: dict[str, str]) -> None:
    group = read_torchrun_environment(environment)
    assert group.is_rank_zero
    assert group.world_size == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["lr-find", "--data", "photos"],
        ["compare", "--data", "photos"],
        ["evaluate", "runs/first"],
        ["demo"],
    ],
)
def test_commands_of_one_process_are_refused_under_torchrun(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert main(argv) == 2
    assert f"headswap {argv[0]} runs in one process" in capsys.readouterr().err


@pytest.mark.parametrize("missing", [name for name in TORCHRUN if name != "WORLD_SIZE"])
def test_a_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"{missing} is not set.*torchrun"):
        read_torchrun_environment({**TORCHRUN, missing: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [("RANK", "4"), ("LOCAL_RANK", "4"), ("RANK", "-1"), ("LOCAL_RANK", "x"), ("WORLD_SIZE", "x")],
)
def test_an_invalid_variable_is_an_error(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}={value}"):
        read_torchrun_environment({**TORCHRUN, name: value})


def test_a_single_process_has_everything() -> None:
    group = ProcessGroup()
    assert group.shard([1, 2, 3]) == [1, 2, 3]
    assert group.sum(2.5) == [2.5]
    assert group.on_rank_zero(lambda: 7) == 7


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_shards_are_the_whole_and_nearly_equal(world_size: int) -> None:
    shards = [
        ProcessGroup(rank=rank, world_size=world_size).shard(range(11))
        for rank in range(world_size)
    ]
    assert sorted(item for shard in shards for item in shard) == list(range(11))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_shards_of_the_batches_are_the_shard_of_the_epoch(world_size: int, batch_size: int) -> None:
    order = list(range(11))
    for rank in range(world_size):
        group = ProcessGroup(rank=rank, world_size=world_size)
        batches = [
            order[group.shard_of_batch(start, min(start + batch_size, 11))]
            for start in range(0, 11, batch_size)
        ]
        assert sum(batches, []) == group.shard(order)


def test_each_process_has_its_own_gpu(gpus: None) -> None:
    assert choose_device("auto", local_rank=1) == torch.device("cuda", 1)
    assert choose_device("cpu", local_rank=1) == torch.device("cpu")
    with pytest.raises(ConfigError, match="--nproc-per-node 2"):
        choose_device("auto", local_rank=2)


def test_a_missing_gpu_is_an_error_only_with_device_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device cuda"):
        choose_device("cuda")
