"""Splitting a class: no photo moves when others are added, no split stays empty, the proportions are about right."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from training.data.splitting import SPLITS, TEST_SHARE, VAL_SHARE, hash_fraction, split_class

PHOTOS = st.sets(st.integers(0, 10_000), max_size=60).map(
    lambda numbers: [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]
)
MISSING = st.sampled_from([("val", "test"), ("test", "val"), ("val",), ("test",), ()])
SEEDS = st.integers(-(2**40), 2**40)


def drawn(sha256: str, missing: tuple[str, ...], seed: int) -> str:
    fraction = hash_fraction(sha256, seed=seed)
    if fraction < TEST_SHARE and "test" in missing:
        return "test"
    return "val" if fraction >= 1 - VAL_SHARE and "val" in missing else "train"


@given(photos=PHOTOS, missing=MISSING, seed=SEEDS)
def test_every_split_gets_a_photo_if_there_are_enough(photos, missing, seed) -> None:
    splits = split_class(photos, missing=missing, seed=seed)
    assert set(splits) == set(photos)
    assert set(splits.values()) <= {"train", *missing}
    if len(photos) > len(missing):
        assert set(splits.values()) == {"train", *missing}


@given(photos=PHOTOS, more=PHOTOS, missing=MISSING, seed=SEEDS)
def test_adding_photos_moves_none_but_those_lent_to_an_empty_split(
    photos, more, missing, seed
) -> None:
    before = split_class(photos, missing=missing, seed=seed)
    after = split_class([*photos, *more], missing=missing, seed=seed)
    moved = {photo for photo in photos if before[photo] != after[photo]}
    draws = {photo: drawn(photo, missing, seed) for photo in photos}
    # All others are in the split of their own hash, before and after.
    assert moved <= {p for p in photos if {before[p], after[p]} != {draws[p]}}
    if {draws[photo] for photo in photos} == {"train", *missing}:
        assert not moved


@given(photos=PHOTOS, missing=MISSING, seed=SEEDS)
def test_at_most_one_photo_per_split_is_lent(photos, missing, seed) -> None:
    splits = split_class(photos, missing=missing, seed=seed)
    lent = [photo for photo in photos if splits[photo] != drawn(photo, missing, seed)]
    # One to each of the missing splits, or one back to train if the hashes left it empty.
    assert len(lent) <= max(1, len(missing))


@given(photos=PHOTOS, missing=MISSING, seed=SEEDS)
def test_the_order_of_the_files_does_not_matter(photos, missing, seed) -> None:
    splits = split_class(photos, missing=missing, seed=seed)
    assert splits == split_class([*reversed(photos), *photos], missing=missing[::-1], seed=seed)


def test_a_large_class_is_split_in_the_right_proportions() -> None:
    photos = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4_000)]
    splits = split_class(photos, missing=("val", "test"), seed=0)
    counts = {split: list(splits.values()).count(split) for split in SPLITS}
    # Standard deviation of the share 0.0056.
    assert abs(counts["test"] / 4_000 - TEST_SHARE) < 0.02
    assert abs(counts["val"] / 4_000 - VAL_SHARE) < 0.02
