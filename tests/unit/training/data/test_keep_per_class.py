"""Fewer photos to learn from: a larger count keeps what a smaller one kept, and nothing else is touched."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from training.data.photos import Photo, PhotoSet, keep_per_class


def photo_set(splits: Iterable[tuple[str, int]]) -> PhotoSet:
    photos = tuple(
        Photo(
            path=Path(f"{number}.jpg"),
            label=label,
            split=split,
            sha256=hashlib.sha256(bytes([number])).hexdigest(),
        )
        for number, (split, label) in enumerate(splits)
    )
    return PhotoSet(folder=Path("photos"), class_names=("a", "b"), photos=photos)


@given(
    splits=st.lists(
        st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 1)), max_size=40
    ),
    count=st.integers(1, 20),
)
def test_keeps_the_least_hashes_of_train_alone(splits: list[tuple[str, int]], count: int) -> None:
    whole = photo_set(splits)
    few, more = keep_per_class(whole, count), keep_per_class(whole, count + 1)
    assert set(few.photos) <= set(more.photos) <= set(whole.photos)
    assert few.counts("train") == tuple(min(count, n) for n in whole.counts("train"))
    assert few.of("val") == whole.of("val")
    assert few.of("test") == whole.of("test")
