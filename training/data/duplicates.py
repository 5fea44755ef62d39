"""Near-duplicates: photos that look the same but differ in their bytes, being resized, recompressed or cropped.

Two photos are near-duplicates when their 64-bit perceptual hashes differ in at most 4 bits (pHash: the signs of the low
frequencies of a 32x32 grey copy; Zauner, 2010; computed by imagehash).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray

from training.data.checked import decode_checked
from training.data.photos import SPLITS, NearLeak, Photo, PhotoSet
from training.threads import file_threads

# Measured on the 500 sample photos: 499 copies at half the size and JPEG quality 50 are within 4 bits of their
# originals, and no two of the 124,750 pairs of different photos are closer than 8.
LARGEST_DISTANCE = 4
# Enough for the 32x32 copy, and small enough that JPEGs are decoded at a fraction of their size.
HASHED_SIDE_PX = 64
ROWS_AT_ONCE = 256
# Nearly all drawings or digits look alike: 20,000 of them would make 200 million pairs.
PAIRS_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    first: Photo
    second: Photo
    distance: int
    """Bits in which the hashes differ, 0 to 4 of 64."""


def find_near_duplicates(
    photos: Sequence[Photo], *, is_across_splits: bool = False
) -> list[NearDuplicate]:
    """Return the pairs, closest first; pairs of identical bytes only if their labels differ.

    With `is_across_splits`, only pairs whose photos are in different splits. The search stops at `PAIRS_MAX` pairs.
    """
    with file_threads() as pool:
        hashes = np.fromiter(pool.map(_hash, (photo.path for photo in photos)), dtype=np.uint64)
    pairs = (
        NearDuplicate(first=photos[first], second=photos[second], distance=distance)
        for first, second, distance in _close_pairs(hashes)
        if _is_reported(photos[first], photos[second])
        and not (is_across_splits and photos[first].split == photos[second].split)
    )
    return sorted(itertools.islice(pairs, PAIRS_MAX), key=lambda pair: pair.distance)


def _is_reported(first: Photo, second: Photo) -> bool:
    return first.sha256 != second.sha256 or first.label != second.label


def with_near_leaks(photos: PhotoSet) -> PhotoSet:
    """Return the set with `near_leaks` filled in: the near-duplicates across two splits."""
    leaks = []
    for pair in find_near_duplicates(photos.photos, is_across_splits=True):
        other, evaluated = sorted((pair.first, pair.second), key=lambda p: SPLITS.index(p.split))
        leaks.append(NearLeak(evaluated=evaluated.path, other=other.path))
    return replace(photos, near_leaks=tuple(leaks))


def _hash(path: Path) -> int:
    photo = decode_checked(path, shorter_side_px=HASHED_SIDE_PX)
    return int(str(imagehash.phash(photo)), 16)


def _close_pairs(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, int, int]]:
    for start in range(0, len(hashes), ROWS_AT_ONCE):
        rows = hashes[start : start + ROWS_AT_ONCE, None]
        distances = np.bitwise_count(rows ^ hashes[None, start:])
        for row, column in np.argwhere(distances <= LARGEST_DISTANCE):
            if column > row:
                yield start + int(row), start + int(column), int(distances[row, column])
