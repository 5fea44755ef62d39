"""Photos with their labels and splits, and what was left out of them."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.data.files import BadFile, format_first
from training.data.splitting import SPLITS, Split


@dataclass(frozen=True, kw_only=True)
class Photo:
    path: Path
    label: int
    split: Split
    sha256: str
    subfolder: str = ""
    """The topmost folder inside the class folder."""
    group: str | None = None
    """What --group-by assigns it to: photos of one group are in one split."""


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Two files with identical bytes in two splits: `kept` is evaluated on, `dropped` is left out."""

    kept: Path
    dropped: Path


@dataclass(frozen=True, kw_only=True)
class GroupLeak:
    """A photo that is left out because its group is in another split, which is evaluated on."""

    group: str
    dropped: Path


@dataclass(frozen=True, kw_only=True)
class NearLeak:
    """Near-duplicates in two splits; both are kept, because similar photos are not certain to be copies."""

    evaluated: Path
    """In the later split of the two: test, or val."""
    other: Path


@dataclass(frozen=True, kw_only=True)
class PhotoSet:
    folder: Path
    class_names: tuple[str, ...]
    photos: tuple[Photo, ...]
    bad_files: tuple[BadFile, ...] = ()
    leaks: tuple[Leak, ...] = ()
    group_leaks: tuple[GroupLeak, ...] = ()
    near_leaks: tuple[NearLeak, ...] = ()
    unlabeled: tuple[Photo, ...] = ()
    """Trained on without labels; not part of any split."""
    notes: tuple[str, ...] = ()
    """How the folder was read, and what in it was not."""

    def of(self, split: Split) -> tuple[Photo, ...]:
        """Return the split's photos."""
        return tuple(photo for photo in self.photos if photo.split == split)

    def counts(self, split: Split) -> tuple[int, ...]:
        """Return the number of photos per class, in class order."""
        counted = Counter(photo.label for photo in self.of(split))
        return tuple(counted[label] for label in range(len(self.class_names)))

    @property
    def near_leaked(self) -> frozenset[Path]:
        """Return the photos of val and test that have a near-duplicate in another split."""
        return frozenset(leak.evaluated for leak in self.near_leaks)

    def describe(self) -> str:
        """Return a summary, one line each: counts, then skipped files, leaks and near-leaks by name."""
        counts = ", ".join(f"{len(self.of(split))} {split}" for split in SPLITS)
        if self.unlabeled:
            counts += f", {len(self.unlabeled)} unlabeled"
        lines = [f"{len(self.class_names)} classes, photos: {counts}", *self.notes]
        lines += describe_bad_files(self.bad_files)
        if self.leaks:
            listed = format_first(f"{leak.dropped} (= {leak.kept})" for leak in self.leaks)
            lines.append(f"left out {len(self.leaks)} copies of photos in another split: {listed}")
        if groups := {photo.group for photo in self.photos} - {None}:
            alone = sum(photo.group is None for photo in self.photos)
            rest = f"; {alone} photos are in none" if alone else ""
            lines.append(f"{len(groups)} groups of photos, each in one split{rest}")
        if self.group_leaks:
            listed = format_first(f"{leak.dropped} ({leak.group})" for leak in self.group_leaks)
            lines.append(
                f"left out {len(self.group_leaks)} photos whose group is in another split: {listed}"
            )
        if self.near_leaks:
            listed = format_first(f"{leak.evaluated} and {leak.other}" for leak in self.near_leaks)
            lines.append(f"{len(self.near_leaks)} near-duplicate pairs across splits: {listed}")
        return "\n".join(lines)

    @property
    def labeled_fingerprint(self) -> str:
        """Return the fingerprint without the unlabeled photos."""
        return replace(self, unlabeled=()).fingerprint

    @property
    def fingerprint(self) -> str:
        """Return a sha256 that depends on the photos' bytes, labels and splits, and on nothing else."""
        lines = sorted(
            f"{photo.split}\t{self.class_names[photo.label]}\t{photo.sha256}\n"
            for photo in self.photos
        )
        lines += sorted(f"unlabeled\t{photo.sha256}\n" for photo in self.unlabeled)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class ScannedPhotos:
    """A folder's photos before they are split: each is in the split of its folder, or in train where it has none."""

    folder: Path
    class_names: tuple[str, ...]
    photos: tuple[Photo, ...]
    bad_files: tuple[BadFile, ...]
    missing: tuple[Split, ...]
    """The splits without a folder."""
    notes: tuple[str, ...] = ()
    """How the folder was read, and what in it was not."""

    def spelled_as(self, class_names: Sequence[str]) -> "ScannedPhotos":
        """Return the photos under these names, in their order, if their own are equal to them in NFC.

        Runs of earlier versions have the names that a Mac writes, in NFD.
        """
        label_of = {
            unicodedata.normalize("NFC", name): label for label, name in enumerate(class_names)
        }
        if sorted(label_of) != sorted(self.class_names) or len(label_of) != len(class_names):
            return self
        photos = (
            replace(photo, label=label_of[self.class_names[photo.label]]) for photo in self.photos
        )
        return replace(self, class_names=tuple(class_names), photos=tuple(photos))

    def describe_unread(self) -> list[str]:
        """Return a line for each thing that the user should know of what was read and what was not."""
        return [*self.notes, *describe_bad_files(self.bad_files)]


def describe_bad_files(bad_files: tuple[BadFile, ...]) -> list[str]:
    """Return a line that names the first ones, in a list that is empty where there is none."""
    if not bad_files:
        return []
    listed = format_first(f"{bad.path} ({bad.reason})" for bad in bad_files)
    return [f"skipped {len(bad_files)} unreadable files: {listed}"]
