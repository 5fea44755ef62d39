"""Assign the photos of a class to train, val and test where the folder has no such folders.

A photo's bytes and the seed hash to a number from 0 to 1: below 0.15 is test, from 0.85 on is val. So no photo changes
its split when others are added, and each class is divided in these proportions up to chance (of 100 photos 15 ± 3.6 are
test). No rule can keep every photo in place and the proportions exact: photos at the boundary would have to move.
"""

import hashlib
from collections.abc import Collection, Iterable

from photo_folder.split_names import SPLITS as SPLITS
from photo_folder.split_names import Split as Split

VAL_SHARE = 0.15
TEST_SHARE = 0.15


def split_class(
    sha256s: Iterable[str], *, missing: Collection[Split], seed: int
) -> dict[str, Split]:
    """Return the split of each photo of one class, by sha256; `missing` are the splits without a folder.

    If a small class would leave one of these splits empty, the photo whose hash is nearest is moved to it; only that
    photo may change its split when photos are added. This needs at least one photo per split.
    """
    fractions = {sha256: hash_fraction(sha256, seed=seed) for sha256 in sha256s}
    ordered = sorted(fractions, key=lambda sha256: fractions[sha256])
    test_count = sum(fraction < TEST_SHARE for fraction in fractions.values())
    val_count = sum(fraction >= 1 - VAL_SHARE for fraction in fractions.values())
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
        sha256: "test" if rank < test_count else "train" if rank < train_end else "val"
        for rank, sha256 in enumerate(ordered)
    }


def hash_fraction(sha256: str, *, seed: int) -> float:
    """Return a pseudo-random number in [0, 1) that depends on the photo's sha256 and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
