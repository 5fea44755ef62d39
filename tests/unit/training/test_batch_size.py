"""How many photos a step takes where nobody says."""

from pathlib import Path

import pytest

from tests.unit.training.helpers import config_of
from training.batch_size import choose_batch_size
from training.data.photos import Photo, PhotoSet
from training.distributed import SINGLE_PROCESS
from training.fit.batches import BatchSource

HEAD_EPOCH, WHOLE_EPOCH = 0, 1


@pytest.mark.parametrize(
    ("photo_count", "expected"), [(1, 8), (60, 8), (300, 9), (600, 18), (5000, 32)]
)
def test_few_photos_get_smaller_steps(photo_count: int, expected: int) -> None:
    assert choose_batch_size(photo_count) == expected


def test_every_process_gets_two_photos() -> None:
    assert choose_batch_size(60, world_size=8) == 16


@pytest.mark.parametrize(
    ("changes", "epoch", "expected"),
    [
        ({}, WHOLE_EPOCH, 8), ({}, HEAD_EPOCH, 32), ({"batch_size": 20}, WHOLE_EPOCH, 20),
        ({"batch_size": 20}, HEAD_EPOCH, 20), ({"batchnorm_stats": "train"}, WHOLE_EPOCH, 32),
    ],
)  # fmt: skip
def test_only_steps_of_the_whole_network_are_smaller(
    changes: dict[str, object], epoch: int, expected: int
) -> None:
    train = tuple(
        Photo(path=Path(f"{n}.jpg"), label=n % 2, split="train", sha256=str(n)) for n in range(40)
    )
    photos = PhotoSet(folder=Path("photos"), class_names=("hat", "shoe"), photos=train)
    source = BatchSource(config_of(head_epochs=1, **changes), photos, SINGLE_PROCESS)
    assert source.batch_size(epoch) == expected
