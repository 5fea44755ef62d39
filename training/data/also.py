"""Further labelled photos that join train alone, such as those that people labelled after a server had kept them.

What `--data` holds for evaluation stays as it is: a photo that is in it already, or that looks like one of val or test,
is left out.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from handlers.images.limits import DecodeLimits
from photo_folder.errors import FolderError
from photo_folder.labelled import LabelledFile, label_photos
from photo_folder.passed import plural
from photo_folder.tree import read_tree
from training.data.duplicates import find_near_duplicates
from training.data.files import BadFile, check_bad_share, check_files
from training.data.photo_set import Photo, PhotoSet
from training.errors import DataError

FLAG = "--also"


def with_also(photos: PhotoSet, folder: Path, limits: DecodeLimits | None = None) -> PhotoSet:
    """Return the set with the photos of the class folders in `folder` added to train, and what was left out noted.

    Raises:
        DataError: the folder cannot be read, holds no photo in a class folder, a class that the set lacks, or too many
            bad files.
    """
    files = _find(folder)
    label_of = {unicodedata.normalize("NFC", n): i for i, n in enumerate(photos.class_names)}
    _check_classes(files, label_of, folder=folder)
    checked = check_files([file.path for file in files], limits=limits)
    bad_files = tuple(result for result in checked if isinstance(result, BadFile))
    check_bad_share(bad_files, total=len(checked))
    known = {photo.sha256 for photo in photos.photos}
    new: dict[str, Photo] = {}
    for file, sha256 in zip(files, checked, strict=True):
        if isinstance(sha256, str) and sha256 not in known:
            label = label_of[file.class_name]
            photo = Photo(path=file.path, label=label, split="train", sha256=sha256)
            _check_label(new.setdefault(sha256, photo), photo)
    near = _near_evaluated(tuple(new.values()), photos)
    joined = tuple(photo for photo in new.values() if photo.path not in near)
    copies = len(files) - len(bad_files) - len(new)
    return replace(
        photos,
        photos=(*photos.photos, *joined),
        bad_files=(*photos.bad_files, *bad_files),
        notes=(
            *photos.notes,
            f"{FLAG} adds {plural(len(joined), 'photo')} to train; left out {copies} that are there already and "
            f"{len(near)} that look like one of val or test",
        ),
    )


def labelled_photos(folder: Path, class_names: Sequence[str]) -> tuple[Photo, ...]:
    """Return the photos of the class folders, those that cannot be read left out.

    Raises:
        DataError: as `with_also`.
    """
    files = _find(folder)
    label_of = {unicodedata.normalize("NFC", name): i for i, name in enumerate(class_names)}
    _check_classes(files, label_of, folder=folder)
    checked = check_files([file.path for file in files])
    return tuple(
        Photo(path=file.path, label=label_of[file.class_name], split="test", sha256=sha256)
        for file, sha256 in zip(files, checked, strict=True)
        if isinstance(sha256, str)
    )


def _find(folder: Path) -> list[LabelledFile]:
    try:
        tree = read_tree(folder)
        files = [file for each in tree.root.full for file in label_photos(each, each.name, "train")]
    except FolderError as error:
        raise DataError(f"{FLAG}: {error}") from None
    if not files:
        raise DataError(
            f"{FLAG} {str(folder)!r} holds no photo in a class folder; give one with a folder of photos per class."
        )
    return files


def _check_classes(
    files: Sequence[LabelledFile], label_of: dict[str, int], *, folder: Path
) -> None:
    unknown = sorted({file.class_name for file in files} - label_of.keys())
    if unknown:
        raise DataError(
            f"{FLAG} {str(folder)!r} has the class {', '.join(map(repr, unknown[:5]))}, which --data lacks; "
            f"its classes are {', '.join(label_of)}. A new class needs photos in train, val and test of --data."
        )


def _check_label(first: Photo, second: Photo) -> None:
    if first.label != second.label:
        raise DataError(
            f"{FLAG}: {first.path} and {second.path} are the same photo in two classes; remove one of them."
        )


def _near_evaluated(new: tuple[Photo, ...], photos: PhotoSet) -> frozenset[Path]:
    """Return those of the new photos that look like one of val or test: training on them would flatter the figures."""
    evaluated = (*photos.of("val"), *photos.of("test"))
    if not new:
        return frozenset()
    pairs = find_near_duplicates((*new, *evaluated), is_across_splits=True)
    paths = {photo.path for pair in pairs for photo in (pair.first, pair.second)}
    return frozenset(photo.path for photo in new if photo.path in paths)
