"""Which processes synchronise BatchNorm's statistics, and which have their own."""

import pytest
import torch
from torch import nn

from tests.unit.training.helpers import CPU, pixels, small_network
from training.distributed import SINGLE_PROCESS, ProcessGroup
from training.fit.batchnorm import convert_batchnorm, has_local_statistics, with_local_batch_min

GPU = torch.device("cuda")


@pytest.mark.parametrize(
    ("stats", "world_size", "device", "is_converted", "is_local"),
    [
        ("train", 2, GPU, True, False),
        ("frozen", 2, GPU, False, False),
        ("train", 1, GPU, False, False),
        ("train", 2, CPU, False, True),
        ("frozen", 2, CPU, False, False),
        ("train", 1, CPU, False, False),
    ],
)
def test_trained_statistics_are_synchronised_on_gpus_and_local_on_cpus(
    stats: str, world_size: int, device: torch.device, is_converted: bool, is_local: bool
) -> None:
    group, network = ProcessGroup(world_size=world_size, device=device), small_network()
    names = network.state_dict().keys()
    assert has_local_statistics(network, stats, group) is is_local
    convert_batchnorm(network, stats, group)
    converted = [m for m in network.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert len(converted) == (2 if is_converted else 0)
    assert network.state_dict().keys() == names


def test_a_network_without_batchnorm_has_no_statistics() -> None:
    group = ProcessGroup(world_size=2, device=CPU)
    assert not has_local_statistics(nn.Linear(2, 2), "train", group)
    assert not has_local_statistics(small_network(), "train", SINGLE_PROCESS)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_only_a_batch_of_two_photos_or_more_updates_the_statistics(count: int) -> None:
    network = small_network().train()
    before = [buffer.clone() for buffer in network.buffers()]
    output = with_local_batch_min(network.logits, network)(pixels(count))
    assert output.shape == (count, 3)
    unchanged = all(map(torch.equal, before, network.buffers()))
    assert unchanged is (count < 2)
    assert all(layer.training for layer in network.modules())
