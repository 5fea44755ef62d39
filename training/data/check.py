"""Check a photo folder for mistakes before hours of training are spent on it."""

import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from training.data.checked import header_of
from training.data.duplicates import PAIRS_MAX, NearDuplicate, find_near_duplicates
from training.data.photos import SPLITS, PhotoSet, Split


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    photos: PhotoSet
    counts: dict[Split, tuple[int, ...]]
    """Photos per class, in class order."""
    imbalance: float
    """Training photos of the largest class over those of the smallest."""
    shorter_side_px: tuple[int, int, int]
    """Smallest, median and largest over the photos."""
    formats: Counter[str]
    near_duplicates: list[NearDuplicate]

    @property
    def leaking(self) -> list[NearDuplicate]:
        """Return the pairs across two splits: they make the evaluation too optimistic."""
        return [pair for pair in self.near_duplicates if pair.first.split != pair.second.split]

    @property
    def near_leaked(self) -> set[Path]:
        """Return the photos of val and test that have a near-duplicate in another split."""
        return {
            max(pair.first, pair.second, key=lambda photo: SPLITS.index(photo.split)).path
            for pair in self.leaking
        }

    @property
    def is_truncated(self) -> bool:
        """Return whether the search stopped at the limit, so that there may be more pairs."""
        return len(self.near_duplicates) >= PAIRS_MAX

    @property
    def mislabelled(self) -> list[NearDuplicate]:
        """Return the pairs, exact copies included, with two different labels: one of the two is wrong."""
        return [pair for pair in self.near_duplicates if pair.first.label != pair.second.label]


def check_data(photos: PhotoSet) -> DataCheck:
    """Return statistics and near-duplicates of the photos; `photos` itself lists bad files and exact copies."""
    sizes, formats = zip(*(header_of(photo.path) for photo in photos.photos), strict=True)
    train_counts = photos.counts("train")
    return DataCheck(
        photos=photos,
        counts={split: photos.counts(split) for split in SPLITS},
        imbalance=max(train_counts) / min(train_counts),
        shorter_side_px=(min(sizes), int(statistics.median(sizes)), max(sizes)),
        formats=Counter(formats),
        near_duplicates=find_near_duplicates(photos.photos),
    )
