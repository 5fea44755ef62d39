"""Near-duplicates: photos that look the same but differ in their bytes, being resized, recompressed or cropped.

Candidates are pairs of which one resembles the other, or a crop of it, at 8x8 pixels in colour. A pair is named once
the two, laid over each other at 32x32 pixels, differ by little (`alignment.py`). A plain picture resembles every other
one of its colour, so it has no near-duplicates.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data import alignment
from training.data.checked import decode_checked
from training.data.photos import SPLITS, NearLeak, Photo, PhotoSet
from training.threads import file_threads

# Measured on the 500 sample photos: 99 % of the copies cropped by up to 10 % a side reach 0.909, and 191 of the 124,750
# pairs of different photos 0.9.
RESEMBLANCE_MIN = 0.9
# Shares of the photos' own deviation, and levels of 255. Copies at half the size and quality 50, and copies cropped by
# 10 %: below 0.17 and 13 for 99 %. At a quarter of the size and quality 30: below 0.23 and 19 for 95 %. Of different
# photos, the closest are at 0.28 and 29.
DIFFERENCE_MAX = 0.22
BLOCK_DIFFERENCE_MAX = 20
# Deviation in levels of 255; sensor noise has 1 at this size, and the plainest sample photo 10.
DEVIATION_MIN = 3
# Where thousands of drawings or digits look alike, these bound the work (1 ms a candidate) and the list.
CANDIDATES_PER_PHOTO = 16
PAIRS_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    first: Photo
    second: Photo
    difference: float
    """Root mean square over the thumbnails, as a share of the photos' own deviation."""


def find_near_duplicates(
    photos: Sequence[Photo], *, is_across_splits: bool = False
) -> list[NearDuplicate]:
    """Return the pairs, closest first; pairs of identical bytes only if their labels differ.

    With `is_across_splits`, only pairs whose photos are in different splits. The search stops at `PAIRS_MAX` pairs.
    """
    with file_threads() as pool:
        thumbnails = list(pool.map(_thumbnail, (photo.path for photo in photos)))
    close = (
        NearDuplicate(first=photos[min(pair)], second=photos[max(pair)], difference=difference)
        for pair, difference in _close_pairs(photos, thumbnails, is_across_splits)
    )
    pairs = itertools.chain(_identical(photos, is_across_splits), close)
    return sorted(itertools.islice(pairs, PAIRS_MAX), key=lambda pair: pair.difference)


def with_near_leaks(photos: PhotoSet) -> PhotoSet:
    """Return the set with `near_leaks` filled in: the near-duplicates across two splits."""
    leaks = []
    for pair in find_near_duplicates(photos.photos, is_across_splits=True):
        other, evaluated = sorted((pair.first, pair.second), key=lambda p: SPLITS.index(p.split))
        leaks.append(NearLeak(evaluated=evaluated.path, other=other.path))
    return replace(photos, near_leaks=tuple(leaks))


def _thumbnail(path: Path) -> Image.Image:
    photo = decode_checked(path, shorter_side_px=alignment.THUMBNAIL_PX)
    side_px = alignment.THUMBNAIL_PX
    return photo.resize((side_px, side_px), Image.Resampling.BILINEAR)


def _identical(photos: Sequence[Photo], is_across_splits: bool) -> Iterator[NearDuplicate]:
    """Yield the pairs of the same bytes under two labels, plain pictures too."""
    by_hash: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_hash[photo.sha256].append(photo)
    for same in by_hash.values():
        for first, second in itertools.combinations(same, 2):
            if first.label != second.label and not (
                is_across_splits and first.split == second.split
            ):
                yield NearDuplicate(first=first, second=second, difference=0.0)


def _close_pairs(
    photos: Sequence[Photo], thumbnails: Sequence[Image.Image], is_across_splits: bool
) -> Iterator[tuple[frozenset[int], float]]:
    """Yield each pair of indices once, with its difference."""
    deviations = np.array([alignment.deviation(thumbnail) for thumbnail in thumbnails])
    named: set[frozenset[int]] = set()
    for part, whole, crop in _candidates(photos, thumbnails, deviations, is_across_splits):
        pair = frozenset((part, whole))
        if pair in named:
            continue
        over_all, in_worst_block = alignment.differences(
            thumbnails[whole], thumbnails[part], first_crop=crop
        )
        difference = over_all / float(min(deviations[part], deviations[whole]))
        if difference <= DIFFERENCE_MAX and in_worst_block <= BLOCK_DIFFERENCE_MAX:
            named.add(pair)
            yield pair, difference


def _candidates(
    photos: Sequence[Photo],
    thumbnails: Sequence[Image.Image],
    deviations: NDArray[np.float64],
    is_across_splits: bool,
) -> Iterator[tuple[int, int, tuple[float, ...]]]:
    """Yield (part, whole, crop): the index of a photo, and of one of which a crop resembles it."""
    splits = np.array([photo.split for photo in photos])
    hashes = np.array([photo.sha256 for photo in photos])
    parts = np.stack([alignment.descriptors(t, alignment.CROPS[:1])[0] for t in thumbnails])
    has_structure = deviations >= DEVIATION_MIN
    for whole, thumbnail in enumerate(thumbnails):
        is_eligible = has_structure & has_structure[whole] & (hashes != hashes[whole])
        if is_across_splits:
            is_eligible &= splits != splits[whole]
        if not is_eligible.any():
            continue
        resemblances = parts @ alignment.descriptors(thumbnail, alignment.CROPS).T  # (N, crops)
        best = np.where(is_eligible, resemblances.max(axis=1), -1)
        closest = np.argsort(-best)[:CANDIDATES_PER_PHOTO]
        for part in closest[best[closest] >= RESEMBLANCE_MIN]:
            yield int(part), whole, alignment.CROPS[int(resemblances[part].argmax())]
