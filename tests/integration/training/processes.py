"""What two processes compute together, held against what one computes alone; run by test_training_ranks.py.

RANK=0 WORLD_SIZE=2 ... python processes.py CASE
"""

import os
import signal
import sys

import pytest
import torch
from torch import nn

from training.distributed import ProcessGroup, join_ranks
from training.errors import DataError, EndedElsewhereError, TrainingError
from training.fit.pseudo_labels import PseudoLabels
from training.fit.synced_norm import sync_norms

PHOTOS = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1])


def make_network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4, momentum=None),
        nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip


def step(network: nn.Module, ranks: ProcessGroup, photo_count: int) -> None:
    network.to(memory_format=torch.channels_last).zero_grad()
    own = ranks.share_of_step(0, photo_count)
    loss = nn.functional.cross_entropy(network(PHOTOS[own]), LABELS[own], reduction="sum")
    (loss / ranks.sum(len(LABELS[own]))[0]).backward()
    ranks.sum_gradients(network.parameters())


def step_is_that_of_one_process(ranks: ProcessGroup) -> None:
    alone, together = make_network(), make_network()
    if not ranks.is_rank_zero:
        nn.init.zeros_(together[0].weight)
    ranks.copy_from_first(together)
    sync_norms(together, ranks)
    # The last step has a photo for one process alone.
    for photo_count in (5, 5, 1):
        step(alone, ProcessGroup(), photo_count)
        step(together, ranks, photo_count)
    for (name, one), other in zip(alone.named_parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(
            one.grad, other.grad, msg=lambda text, name=name: f"{name}: {text}"
        )
    for name, one in alone.state_dict().items():
        torch.testing.assert_close(one, together.state_dict()[name])
    torch.testing.assert_close(alone.eval()(PHOTOS), together.eval()(PHOTOS))


def parts_make_the_whole(ranks: ProcessGroup) -> None:
    rows = torch.arange(10.0).reshape(5, 2)
    assert torch.equal(ranks.gather(ranks.share(rows), 5), rows)
    assert ranks.sum(1.5, ranks.rank) == [3.0, 1.0]
    assert torch.equal(ranks.sum_tensor(rows[ranks.rank]), rows[0] + rows[1])
    assert ranks.on_rank_zero(lambda: ("told", os.getpid()))[0] == "told"


def pseudo_labels_are_those_of_one_process(ranks: ProcessGroup) -> None:
    generator = torch.Generator().manual_seed(2)
    weights = torch.randn(12, 3, generator=generator)
    counts = torch.tensor([1.0, 2.0, 3.0])

    def teacher(weak: torch.Tensor) -> torch.Tensor:
        return weak.flatten(1) @ weights

    alone, together = (PseudoLabels(teacher, counts, one) for one in (ProcessGroup(), ranks))
    kept = 0.0
    for _ in range(9):
        weak = torch.randn(301, 2, 2, 3, generator=generator)
        labels = alone.label(weak)
        assert torch.equal(
            ranks.gather(together.label(weak[ranks.rank :: ranks.count]), 301), labels
        )
        kept += labels.mean().item() * 3 / 9
    assert 0.1 < kept < 0.9


def fault_of_the_first_ends_all(ranks: ProcessGroup) -> None:
    def make() -> None:
        raise DataError("no photos")

    expected = DataError if ranks.is_rank_zero else EndedElsewhereError
    with pytest.raises(expected) as caught:
        ranks.on_rank_zero(make)
    assert caught.value.exit_code == DataError.exit_code


def lost_process_is_an_error(ranks: ProcessGroup) -> None:
    ranks.sum(1.0)
    if not ranks.is_rank_zero:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.sum(1.0)


CASES = (
    step_is_that_of_one_process,
    parts_make_the_whole,
    pseudo_labels_are_those_of_one_process,
    fault_of_the_first_ends_all,
)


def main() -> int:
    try:
        with join_ranks("cpu") as ranks:
            for case in CASES:
                case(ranks)
                print(f"{case.__name__}: done", flush=True)
            lost_process_is_an_error(ranks)
    except TrainingError as error:
        print(f"{type(error).__name__}: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
