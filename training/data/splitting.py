"""Which photos of a class are learned from, chosen by and tested on, where the folder does not say.

A photo's bytes and the seed draw a place in 0..1 for it: below 0.15 is test, from 0.85 on val. So no photo changes
sides when others are added, and in each class the shares are right up to chance (of 100 photos 15 ± 3.6 are test). No
rule keeps all photos in place and the shares exact: whoever is at the border would have to move.
"""

import hashlib
from collections.abc import Collection, Iterable
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
VAL_SHARE = 0.15
TEST_SHARE = 0.15


def cut_class(sha256s: Iterable[str], *, missing: Collection[Split], seed: int) -> dict[str, Split]:
    """Return the split of each of a class's photos, given which splits have no folder of their own.

    A class so small that one of them would have stayed empty lends it the photo drawn nearest; only
    that one may change sides when photos are added. Needs as many photos as splits for that.
    """
    places = {one: hash_fraction(one, seed=seed) for one in sha256s}
    ordered = sorted(places, key=lambda one: places[one])
    test_count = sum(place < TEST_SHARE for place in places.values())
    val_count = sum(place >= 1 - VAL_SHARE for place in places.values())
    if "test" not in missing:
        test_count = 0
    elif len(ordered) > len(missing):
        test_count = min(max(test_count, 1), len(ordered) - len(missing))
    if "val" not in missing:
        val_count = 0
    elif len(ordered) > len(missing):
        val_count = min(max(val_count, 1), len(ordered) - test_count - 1)
    train_end = len(ordered) - val_count
    return {
        one: "test" if rank < test_count else "train" if rank < train_end else "val"
        for rank, one in enumerate(ordered)
    }


def hash_fraction(sha256: str, *, seed: int) -> float:
    """Return a number in 0..1 that looks random and depends on the photo and the seed alone."""
    drawn = hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") / 2**64
