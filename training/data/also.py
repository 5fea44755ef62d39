"""Further labelled photos that join train, such as those that people labelled after a server had kept them.

What `--data` holds for evaluation stays as it is: a photo that is in it already, or that looks like one of val or test,
is left out. The photos of new classes are divided among train, val and test, as nothing else could evaluate them.
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
from training.data.photos import similar_names
from training.data.splitting import SPLITS, Split, split_class
from training.errors import DataError

FLAG = "--also"
# What a new class is divided into.
NEW_SPLITS: tuple[Split, ...] = ("val", "test")


def with_also(
    photos: PhotoSet,
    folder: Path,
    *,
    new_classes: bool = False,
    seed: int = 0,
    limits: DecodeLimits | None = None,
) -> PhotoSet:
    """Return the set with the photos of the class folders in `folder` added, and what was left out noted.

    Those of its classes join train. With `new_classes`, further ones come behind its own, in alphabetical order.

    Raises:
        DataError: the folder cannot be read, holds no photo in a class folder, a class that the set lacks (without
            `new_classes`), a new class with too few photos, or too many bad files.
    """
    files = class_files(folder)
    class_names = photos.class_names
    if new_classes:
        class_names += _new_names(files, class_names)
    label_of = _labels(class_names)
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
    divided = _divided(tuple(new.values()), of_data=len(photos.class_names), seed=seed)
    near = _near_evaluated(divided, photos)
    joined = tuple(photo for photo in divided if photo.path not in near)
    copies = len(files) - len(bad_files) - len(new)
    added = replace(
        photos,
        class_names=class_names,
        photos=(*photos.photos, *joined),
        bad_files=(*photos.bad_files, *bad_files),
        notes=(
            *photos.notes,
            f"{FLAG} adds {_describe_splits(joined)}; left out {copies} that are there already and {len(near)} that "
            "look like one of val or test",
            *_describe_new(class_names, of_data=len(photos.class_names)),
        ),
    )
    _check_new_classes(added, of_data=len(photos.class_names), folder=folder)
    return added


def labelled_photos(folder: Path, class_names: Sequence[str]) -> tuple[Photo, ...]:
    """Return the photos of the class folders, those that cannot be read left out.

    Raises:
        DataError: as `with_also`.
    """
    files = class_files(folder)
    label_of = _labels(class_names)
    _check_classes(files, label_of, folder=folder)
    checked = check_files([file.path for file in files])
    return tuple(
        Photo(path=file.path, label=label_of[file.class_name], split="test", sha256=sha256)
        for file, sha256 in zip(files, checked, strict=True)
        if isinstance(sha256, str)
    )


def _labels(class_names: Sequence[str]) -> dict[str, int]:
    return {unicodedata.normalize("NFC", name): label for label, name in enumerate(class_names)}


def _new_names(files: Sequence[LabelledFile], class_names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({file.class_name for file in files} - _labels(class_names).keys()))


def class_files(folder: Path) -> list[LabelledFile]:
    """Return the photos of the class folders in a folder of labelled photos. Raises DataError."""
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
            f"its classes are {', '.join(label_of)}. Give --new-classes to make it a class of the network, or move its "
            "photos into the folder of another class."
        )


def _check_label(first: Photo, second: Photo) -> None:
    if first.label != second.label:
        raise DataError(
            f"{FLAG}: {first.path} and {second.path} are the same photo in two classes; remove one of them."
        )


def _divided(new: Sequence[Photo], *, of_data: int, seed: int) -> tuple[Photo, ...]:
    """Return the photos, those of new classes divided among the splits; `of_data` classes are not new."""
    split_of: dict[str, Split] = {}
    for label in {photo.label for photo in new if photo.label >= of_data}:
        sha256s = [photo.sha256 for photo in new if photo.label == label]
        split_of |= split_class(sha256s, missing=NEW_SPLITS, seed=seed)
    return tuple(replace(photo, split=split_of.get(photo.sha256, "train")) for photo in new)


def _near_evaluated(new: Sequence[Photo], photos: PhotoSet) -> frozenset[Path]:
    """Return those of the new photos that look like one of val or test: training on them would flatter the figures.

    Of two new photos that look alike, the one that is evaluated stays.
    """
    if not new:
        return frozenset()
    evaluated = (*photos.of("val"), *photos.of("test"))
    joining = {photo.path for photo in new}
    left_out: set[Path] = set()
    for pair in find_near_duplicates((*new, *evaluated), is_across_splits=True):
        ordered = sorted((pair.first, pair.second), key=lambda photo: SPLITS.index(photo.split))
        alike = [photo.path for photo in ordered if photo.path in joining]
        if alike and not left_out & {pair.first.path, pair.second.path}:
            left_out.add(alike[0])
    return frozenset(left_out)


def _describe_splits(joined: Sequence[Photo]) -> str:
    counts = {split: sum(photo.split == split for photo in joined) for split in SPLITS}
    text = f"{plural(counts['train'], 'photo')} to train"
    if counts["val"] or counts["test"]:
        text += f", {counts['val']} to val and {counts['test']} to test"
    return text


def _describe_new(class_names: Sequence[str], *, of_data: int) -> tuple[str, ...]:
    if len(class_names) == of_data:
        return ()
    return (
        f"new classes by --new-classes: {', '.join(class_names[of_data:])}",
        *similar_names(class_names),
    )


def _check_new_classes(photos: PhotoSet, *, of_data: int, folder: Path) -> None:
    for label, name in enumerate(photos.class_names):
        counts = {split: photos.counts(split)[label] for split in SPLITS}
        if label >= of_data and not all(counts.values()):
            raise DataError(
                f"{FLAG} {str(folder)!r} has {plural(sum(counts.values()), 'photo')} of the new class {name!r} that "
                f"differ from each other and from those of --data: {counts['train']} for train, {counts['val']} for "
                f"val and {counts['test']} for test. It needs at least one for each; add some (20 or more are better)."
            )
