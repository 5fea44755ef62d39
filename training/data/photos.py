"""Read a folder of labelled photos: scan it, check the files, split it, leave out leaks.

Both layouts work: `FOLDER/CLASS/photo.jpg` and `FOLDER/{train,val,test}/CLASS/photo.jpg`. A missing val or test split
is taken from the training photos of each class: training/data/splitting.py.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.data.files import (
    BadFile,
    check_bad_share,
    check_files,
    format_first,
    is_hidden,
    list_files,
)
from training.data.splitting import SPLITS as SPLITS
from training.data.splitting import Split as Split
from training.data.splitting import split_class
from training.errors import DataError

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, kw_only=True)
class Photo:
    path: Path
    label: int
    split: Split
    sha256: str
    group: str | None = None
    """What --group-by assigns it to: photos of one group are in one split."""


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Two files with identical bytes in two splits: `kept` is evaluated on, `dropped` is left out."""

    kept: Path
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
    near_leaks: tuple[NearLeak, ...] = ()
    unlabeled: tuple[Photo, ...] = ()
    """Trained on without labels; not part of any split."""

    def of(self, split: Split) -> tuple[Photo, ...]:
        """Return the split's photos."""
        return tuple(photo for photo in self.photos if photo.split == split)

    def counts(self, split: Split) -> tuple[int, ...]:
        """Return the number of photos per class, in class order."""
        counted = Counter(photo.label for photo in self.of(split))
        return tuple(counted[label] for label in range(len(self.class_names)))

    def describe(self) -> str:
        """Return a summary, one line each: counts, then skipped files, leaks and near-leaks by name."""
        counts = ", ".join(f"{len(self.of(split))} {split}" for split in SPLITS)
        if self.unlabeled:
            counts += f", {len(self.unlabeled)} unlabeled"
        lines = [f"{len(self.class_names)} classes, photos: {counts}"]
        if self.bad_files:
            listed = format_first(f"{bad.path} ({bad.reason})" for bad in self.bad_files)
            lines.append(f"skipped {len(self.bad_files)} unreadable files: {listed}")
        if self.leaks:
            listed = format_first(f"{leak.dropped} (= {leak.kept})" for leak in self.leaks)
            lines.append(f"left out {len(self.leaks)} copies of photos in another split: {listed}")
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


def read_photos(folder: Path, *, seed: int = 0, unsplit_as: Split | None = None) -> PhotoSet:
    """Return the folder's photos, each with a label and a split; every file is read and decoded.

    With `unsplit_as`, all photos of a folder without split folders are assigned to that split.

    Raises:
        DataError: the folder does not exist, has fewer than two classes, a class without photos in a split, or too
            many bad files.
    """
    return assign_splits(scan_photos(folder), seed=seed, unsplit_as=unsplit_as)


@dataclass(frozen=True, kw_only=True)
class ScannedPhotos:
    """A folder's photos before they are split: each is in the split of its folder, or in train where it has none."""

    folder: Path
    class_names: tuple[str, ...]
    photos: tuple[Photo, ...]
    bad_files: tuple[BadFile, ...]
    missing: tuple[Split, ...]
    """The splits without a folder."""


def scan_photos(folder: Path) -> ScannedPhotos:
    """Return the photos as they lie in the folder; every file is read and decoded.

    Raises:
        DataError: the folder does not exist, has fewer than two classes, or too many bad files.
    """
    split_folders = _split_folders(folder)
    files = [
        (path, class_name, split)
        for split, split_folder in split_folders.items()
        for class_name, class_folder in _class_folders(split_folder)
        for path in list_files(class_folder)
    ]
    class_names = tuple(
        sorted({name for part in split_folders.values() for name, _ in _class_folders(part)})
    )
    _check_classes(folder, class_names)
    checked = check_files([path for path, _, _ in files])
    bad_files = tuple(result for result in checked if isinstance(result, BadFile))
    check_bad_share(bad_files, total=len(checked))
    return ScannedPhotos(
        folder=folder,
        class_names=class_names,
        photos=tuple(
            Photo(path=path, label=class_names.index(class_name), split=split, sha256=sha256)
            for (path, class_name, split), sha256 in zip(files, checked, strict=True)
            if isinstance(sha256, str)
        ),
        bad_files=bad_files,
        missing=tuple(split for split in SPLITS if split not in split_folders),
    )


def assign_splits(
    scanned: ScannedPhotos, *, seed: int = 0, unsplit_as: Split | None = None
) -> PhotoSet:
    """Return the photos, each in one split: the one of its folder, by hash, or `unsplit_as`.

    Raises:
        DataError: a class has no photo in a split.
    """
    photos: Sequence[Photo] = scanned.photos
    is_whole = unsplit_as is not None and len(scanned.missing) == 2
    if is_whole and unsplit_as:
        photos = [replace(photo, split=unsplit_as) for photo in photos]
    elif scanned.missing:
        photos = _split(photos, missing=scanned.missing, seed=seed)
    kept, leaks = _without_leaks(photos)
    photo_set = PhotoSet(
        folder=scanned.folder,
        class_names=scanned.class_names,
        photos=kept,
        bad_files=scanned.bad_files,
        leaks=leaks,
    )
    _check_no_class_is_empty(photo_set, [unsplit_as] if is_whole and unsplit_as else SPLITS)
    return photo_set


def is_read(path: Path, folder: Path) -> bool:
    """Return whether `read_photos` would read this path, which need not exist yet."""
    if not folder.is_dir():
        return False
    path = path.resolve()
    return any(
        path.is_relative_to(part) and not any(map(is_hidden, path.relative_to(part).parts))
        for part in (split_folder.resolve() for split_folder in _split_folders(folder).values())
    )


def _split_folders(folder: Path) -> dict[Split, Path]:
    if not folder.exists():
        raise DataError(
            f"the data folder {str(folder)!r} does not exist. Give --data a folder with one folder "
            "of photos per class."
        )
    if not folder.is_dir():
        raise DataError(
            f"--data {str(folder)!r} is a file; give a folder with one folder of photos per class."
        )
    named: dict[Split, Path] = {}
    subfolders = _folders(folder)
    for sub in subfolders:
        split = SPLIT_FOLDERS.get(sub.name.lower())
        if split and split in named:
            raise DataError(
                f"{str(folder)!r} holds both {named[split].name!r} and {sub.name!r}; "
                f"keep one {split} folder."
            )
        if split:
            named[split] = sub
    # A class may have such a name too, as a train among vehicles; it holds photos and no folders.
    are_splits = len(named) == len(subfolders) or any(map(_folders, named.values()))
    if "train" in named and are_splits:
        return named
    if named and len(named) == len(subfolders):
        raise DataError(
            f"{str(folder)!r} holds {', '.join(sub.name for sub in subfolders)} "
            "but no train folder; add one."
        )
    return {"train": folder}


def _class_folders(split_folder: Path) -> list[tuple[str, Path]]:
    return [(folder.name, folder) for folder in _folders(split_folder)]


def _folders(folder: Path) -> list[Path]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir() and not is_hidden(sub.name))


def _check_classes(folder: Path, class_names: Sequence[str]) -> None:
    if len(class_names) >= 2:
        return
    holds = f"only the class {class_names[0]!r}" if class_names else "no class folder"
    raise DataError(
        f"{str(folder)!r} holds {holds}; a classifier needs at least two classes, each a folder of photos."
    )


def _check_no_class_is_empty(photo_set: PhotoSet, splits: Iterable[Split]) -> None:
    for split in splits:
        for name, count in zip(photo_set.class_names, photo_set.counts(split), strict=True):
            if count == 0:
                raise DataError(
                    f"the class {name!r} has no {split} photo in {str(photo_set.folder)!r}. Every class needs photos "
                    "in train, val and test; add some (about 20 or more per class) or remove the class folder."
                )


def _split(photos: Sequence[Photo], *, missing: Sequence[Split], seed: int) -> list[Photo]:
    """Return the photos in the same order, those of train divided among train and the missing splits."""
    by_label: dict[int, list[str]] = {}
    for photo in photos:
        if photo.split == "train":
            by_label.setdefault(photo.label, []).append(photo.sha256)
    splits = {
        label: split_class(sha256s, missing=missing, seed=seed)
        for label, sha256s in by_label.items()
    }
    return [
        replace(photo, split=splits[photo.label][photo.sha256]) if photo.split == "train" else photo
        for photo in photos
    ]


def _without_leaks(photos: Sequence[Photo]) -> tuple[tuple[Photo, ...], tuple[Leak, ...]]:
    """Return the photos without copies in another split, and those leaks: test wins over val over train."""
    kept: list[Photo] = []
    leaks: list[Leak] = []
    first_of: dict[str, Photo] = {}
    for photo in sorted(photos, key=lambda photo: -SPLITS.index(photo.split)):
        first = first_of.setdefault(photo.sha256, photo)
        if first.split == photo.split:
            kept.append(photo)
        else:
            leaks.append(Leak(kept=first.path, dropped=photo.path))
    order = {photo.path: position for position, photo in enumerate(photos)}
    return tuple(sorted(kept, key=lambda photo: order[photo.path])), tuple(leaks)
