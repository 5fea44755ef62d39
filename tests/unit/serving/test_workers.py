"""How many workers a version gets, and the reason that `headswap serve` gives."""

import os
from functools import partial
from pathlib import Path

import pytest

from handlers import cgroup
from serving.errors import SettingsError
from serving.workers import count_workers
from tests.cgroups import write_v2

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(autouse=True)
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod limited to 4 CPUs on a node of 64."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    root = write_v2(tmp_path, cpu_max="400000 100000")
    monkeypatch.setattr(cgroup, "available_cpus", partial(cgroup.available_cpus, root))


def test_a_pod_of_4_cpus_on_a_node_of_64_gets_4_workers() -> None:
    counted = count_workers({}, NO_GPU)
    assert counted.count == 4
    assert str(counted) == "4 workers, one per CPU: the cgroup's quota is 4 of 64 CPUs"


def test_a_gpu_and_the_configuration_take_precedence() -> None:
    gpus = count_workers({}, {"CUDA_VISIBLE_DEVICES": "0"})
    assert str(gpus) == "1 worker, one per GPU"
    given = count_workers({"default_workers_per_model": "3"}, {"CUDA_VISIBLE_DEVICES": "0"})
    assert str(given) == "3 workers, default_workers_per_model in the configuration"


@pytest.mark.parametrize(
    ("model_config", "count"),
    [({"minWorkers": 2}, 2), ({"minWorkers": 0}, 4), ({"minWorkers": "2"}, 4), ({}, 4)],
)
def test_an_archives_own_number_takes_precedence(model_config: dict, count: int) -> None:
    assert count_workers({}, NO_GPU).of_archive(model_config).count == count


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²"])
def test_another_number_of_workers_is_rejected(value: str) -> None:
    with pytest.raises(SettingsError, match="must be a whole number of 1 or more"):
        count_workers({"default_workers_per_model": value}, NO_GPU)
