"""The benchmark of memory in a long run measures every epoch of a real run, and growth where there is some."""

from collections.abc import Callable

from benchmarks.training.memory import measure, summarise
from training.config import TrainConfig


def test_every_epoch_is_measured(small_config: Callable[..., TrainConfig]) -> None:
    sizes_mb = measure(small_config(freeze="backbone", head_epochs=3))
    assert len(sizes_mb) == 3
    # A process with PyTorch in it.
    assert all(100 < size_mb < 100_000 for size_mb in sizes_mb)


def test_growth_counts_from_when_it_has_settled() -> None:
    sizes_mb = [100.0 + 2 * epoch for epoch in range(1, 31)]
    assert summarise(sizes_mb) == {
        "resident_mb_after_epoch": {"10": 120.0, "20": 140.0, "30": 160.0},
        "growth_mb": 40.0,
    }
