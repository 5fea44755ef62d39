"""A folder of labelled photos becomes lists of photos: scanned, checked, split, leaks found.

Both layouts work: `FOLDER/CLASS/photo.jpg`, and `FOLDER/{train,val,test}/CLASS/photo.jpg`. Splits
that are not there are cut from the training photos of each class: training/data/splitting.py.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.data.files import (
    BadFile,
    check_files,
    is_hidden,
    list_files,
    name_some,
    refuse_bad_share,
)
from training.data.splitting import SPLITS as SPLITS
from training.data.splitting import Split as Split
from training.data.splitting import cut_class, hash_fraction
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


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Photos with identical bytes: `kept` judges, `dropped` is left out of what is learned from."""

    kept: Path
    dropped: Path


@dataclass(frozen=True, kw_only=True)
class NearLeak:
    """Photos that show nearly the same in two splits; both stay, for whether they are one is a guess."""

    judging: Path
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
    """Learned from without a label; in no split."""

    def of(self, split: Split) -> tuple[Photo, ...]:
        return tuple(photo for photo in self.photos if photo.split == split)

    def counts(self, split: Split) -> tuple[int, ...]:
        """Return the number of photos per class, in class order."""
        counted = Counter(photo.label for photo in self.of(split))
        return tuple(counted[label] for label in range(len(self.class_names)))

    def describe(self) -> str:
        """Return what was found: counts, then skipped files, leaks and near leaks by name, a line each."""
        told = ", ".join(f"{len(self.of(split))} {split}" for split in SPLITS)
        if self.unlabeled:
            told += f", {len(self.unlabeled)} unlabeled"
        lines = [f"{len(self.class_names)} classes, photos: {told}"]
        if self.bad_files:
            named = name_some(f"{bad.path} ({bad.reason})" for bad in self.bad_files)
            lines.append(f"skipped {len(self.bad_files)} that cannot be read: {named}")
        if self.leaks:
            named = name_some(f"{leak.dropped} (= {leak.kept})" for leak in self.leaks)
            lines.append(f"left out {len(self.leaks)} that stand in another split too: {named}")
        if self.near_leaks:
            named = name_some(f"{leak.judging} and {leak.other}" for leak in self.near_leaks)
            lines.append(f"{len(self.near_leaks)} pairs are nearly the same in two splits: {named}")
        return "\n".join(lines)

    @property
    def fingerprint(self) -> str:
        """Return a sha256 that changes with any photo, label or split, and with nothing else."""
        lines = sorted(
            f"{photo.split}\t{self.class_names[photo.label]}\t{photo.sha256}\n"
            for photo in self.photos
        )
        lines += sorted(f"unlabeled\t{photo.sha256}\n" for photo in self.unlabeled)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_photos(folder: Path, *, seed: int = 0, unsplit_as: Split | None = None) -> PhotoSet:
    """Return the folder's photos, each with a class and a split; every file is read and decoded.

    With `unsplit_as`, the photos of a folder without splits all go to that one.

    Raises:
        DataError: no such folder, fewer than two classes, an empty class, too many bad files.
    """
    split_folders = _split_folders(folder)
    found = [
        (path, class_name, split)
        for split, split_folder in split_folders.items()
        for class_name, class_folder in _class_folders(split_folder)
        for path in list_files(class_folder)
    ]
    class_names = tuple(
        sorted({name for part in split_folders.values() for name, _ in _class_folders(part)})
    )
    _refuse_odd_classes(folder, class_names)
    checked = check_files([path for path, _, _ in found])
    bad_files = tuple(result for result in checked if isinstance(result, BadFile))
    refuse_bad_share(bad_files, total=len(checked))
    missing = [split for split in SPLITS if split not in split_folders]
    photos = [
        Photo(path=path, label=class_names.index(class_name), split=split, sha256=sha256)
        for (path, class_name, split), sha256 in zip(found, checked, strict=True)
        if isinstance(sha256, str)
    ]
    is_whole = unsplit_as is not None and len(missing) == 2
    if is_whole and unsplit_as:
        photos = [replace(photo, split=unsplit_as) for photo in photos]
    elif missing:
        photos = _cut(photos, missing=missing, seed=seed)
    kept, leaks = _without_leaks(photos)
    photo_set = PhotoSet(
        folder=folder, class_names=class_names, photos=kept, bad_files=bad_files, leaks=leaks
    )
    _refuse_empty_parts(photo_set, [unsplit_as] if is_whole and unsplit_as else SPLITS)
    return photo_set


def keep_per_class(photos: PhotoSet, count: int, *, seed: int = 0) -> PhotoSet:
    """Return the set with at most `count` photos a class to learn from, drawn by content and seed.

    A larger count keeps all that a smaller one kept. Val and test stay whole.
    """
    kept: set[Path] = set()
    for label in range(len(photos.class_names)):
        own = [photo for photo in photos.of("train") if photo.label == label]
        own.sort(key=lambda photo: hash_fraction(photo.sha256, seed=seed))
        kept.update(photo.path for photo in own[:count])
    return replace(
        photos,
        photos=tuple(p for p in photos.photos if p.split != "train" or p.path in kept),
    )


def is_read(path: Path, folder: Path) -> bool:
    """Say whether reading the folder's photos comes across the path, which need not be there yet."""
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
            f"--data {str(folder)!r} is a file; it takes a folder that holds one folder per class."
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
    # Classes may have such names too: of vehicles, train is one. They hold photos and no folders.
    are_splits = len(named) == len(subfolders) or any(map(_folders, named.values()))
    if "train" in named and are_splits:
        return named
    if named and len(named) == len(subfolders):
        raise DataError(
            f"{str(folder)!r} holds {', '.join(sub.name for sub in subfolders)} "
            "but no train folder to learn from."
        )
    return {"train": folder}


def _class_folders(split_folder: Path) -> list[tuple[str, Path]]:
    return [(folder.name, folder) for folder in _folders(split_folder)]


def _folders(folder: Path) -> list[Path]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir() and not is_hidden(sub.name))


def _refuse_odd_classes(folder: Path, class_names: Sequence[str]) -> None:
    if len(class_names) >= 2:
        return
    found = f"only the class {class_names[0]!r}" if class_names else "no class folder"
    raise DataError(
        f"{str(folder)!r} holds {found}; a classifier needs at least two, each a folder of photos."
    )


def _refuse_empty_parts(photo_set: PhotoSet, needed: Iterable[Split]) -> None:
    for split in needed:
        for name, count in zip(photo_set.class_names, photo_set.counts(split), strict=True):
            if count == 0:
                raise DataError(
                    f"the class {name!r} has no photo to {_purpose(split)} in "
                    f"{str(photo_set.folder)!r}. Every class needs photos in train, val and test; "
                    "add some (about 20 or more per class) or remove the class folder."
                )


def _purpose(split: Split) -> str:
    return {"train": "learn from", "val": "choose by (val)", "test": "test on"}[split]


def _cut(photos: Sequence[Photo], *, missing: Sequence[Split], seed: int) -> list[Photo]:
    """Return the photos, those of train spread over it and the missing splits, in the same order."""
    learned: dict[int, list[str]] = {}
    for photo in photos:
        if photo.split == "train":
            learned.setdefault(photo.label, []).append(photo.sha256)
    cut = {
        label: cut_class(sha256s, missing=missing, seed=seed) for label, sha256s in learned.items()
    }
    return [
        replace(photo, split=cut[photo.label][photo.sha256]) if photo.split == "train" else photo
        for photo in photos
    ]


def _without_leaks(photos: Sequence[Photo]) -> tuple[tuple[Photo, ...], tuple[Leak, ...]]:
    """Return the photos without those whose bytes also judge: test wins over val over train."""
    kept: list[Photo] = []
    leaks: list[Leak] = []
    judge_of: dict[str, Photo] = {}
    for photo in _most_precious_first(photos):
        judge = judge_of.setdefault(photo.sha256, photo)
        if judge.split == photo.split:
            kept.append(photo)
        else:
            leaks.append(Leak(kept=judge.path, dropped=photo.path))
    order = {photo.path: position for position, photo in enumerate(photos)}
    return tuple(sorted(kept, key=lambda photo: order[photo.path])), tuple(leaks)


def _most_precious_first(photos: Iterable[Photo]) -> list[Photo]:
    return sorted(photos, key=lambda photo: -SPLITS.index(photo.split))
