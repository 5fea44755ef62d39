"""In a container, training and evaluation compute with the threads of its CPU quota."""

from collections.abc import Callable, Iterator

import pytest
import torch

from training import threads
from training.config import TrainConfig
from training.data.source import read_data
from training.distributed import SINGLE_PROCESS
from training.evaluation.evaluation import load_network
from training.fit.trainer import Trainer
from training.run import Run


@pytest.fixture(autouse=True)
def quota_of_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(threads, "cpu_count", lambda: 1)
    yield
    torch.set_num_threads(before)


def test_training_has_the_threads_of_the_quota(small_config: Callable[..., TrainConfig]) -> None:
    config = small_config()
    Trainer(config, read_data(config), SINGLE_PROCESS)
    assert torch.get_num_threads() == 1


def test_an_evaluation_has_the_threads_of_the_quota(untrained_run: Run) -> None:
    load_network(untrained_run)
    assert torch.get_num_threads() == 1
