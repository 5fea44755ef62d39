"""Threads of a training process in a container that sees more CPUs than it may use."""

from collections.abc import Iterator

import pytest
import torch

from training import threads
from training.threads import file_threads, limit_torch_threads


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(("cpus", "count"), [(1, 1), (3, 3), (4, 4), (64, 4)])
def test_torch_computes_with_no_more_threads_than_the_quota_allows(
    monkeypatch: pytest.MonkeyPatch, cpus: int, count: int
) -> None:
    monkeypatch.setattr(threads, "cpu_count", lambda: cpus)
    limit_torch_threads()
    assert torch.get_num_threads() == count


@pytest.mark.parametrize(("cpus", "count"), [(1, 5), (4, 8), (64, 32)])
def test_files_are_decoded_by_a_few_threads_more(
    monkeypatch: pytest.MonkeyPatch, cpus: int, count: int
) -> None:
    monkeypatch.setattr(threads, "cpu_count", lambda: cpus)
    with file_threads() as pool:
        assert pool._max_workers == count
