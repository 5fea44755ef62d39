"""Assign photos to splits: by their folders or by hash, one by one or by group, and leave out leaks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from training.data.groups import find_groups, split_groups
from training.data.photo_set import GroupLeak, Leak, Photo, PhotoSet, ScannedPhotos
from training.data.splitting import SPLITS, Split, split_class
from training.errors import DataError
from training.group_by import EXIF_BURST, FOLDER

WITHOUT_GROUPS = {
    FOLDER: "no photo lies in a folder inside its class folder",
    EXIF_BURST: "no photo has the time it was taken in its EXIF data",
}


def assign_splits(
    scanned: ScannedPhotos,
    *,
    seed: int = 0,
    unsplit_as: Split | None = None,
    group_by: str | None = None,
) -> PhotoSet:
    """Return the photos, each in one split: the one of its folder, by hash, or `unsplit_as`.

    With `group_by`, a group is in one split as a whole; where its folders divide it, test wins over val over train.

    Raises:
        DataError: a class has no photo in a split, or no photo has a group.
    """
    photos: Sequence[Photo] = scanned.photos
    group_leaks: tuple[GroupLeak, ...] = ()
    if group_by is not None:
        photos, group_leaks = _without_group_leaks(_grouped(scanned, group_by))
    is_whole = unsplit_as is not None and len(scanned.missing) == 2
    if unsplit_as is None:
        _check_train(scanned)
    if is_whole and unsplit_as:
        photos = [replace(photo, split=unsplit_as) for photo in photos]
    elif group_by is not None:
        if unsplit_as is None:
            _check_groups(photos, scanned, group_by)
        photos = _split_by_group(photos, missing=scanned.missing, seed=seed)
    elif scanned.missing:
        photos = _split(photos, missing=scanned.missing, seed=seed)
    kept, leaks = _without_leaks(photos)
    photo_set = PhotoSet(
        folder=scanned.folder,
        class_names=scanned.class_names,
        photos=kept,
        bad_files=scanned.bad_files,
        leaks=leaks,
        group_leaks=group_leaks,
        notes=scanned.notes,
    )
    is_evaluated = is_whole or "train" in scanned.missing
    _check_no_class_is_empty(photo_set, [unsplit_as] if is_evaluated and unsplit_as else SPLITS)
    return photo_set


def _check_train(scanned: ScannedPhotos) -> None:
    if "train" in scanned.missing:
        given = " and ".join(split for split in SPLITS if split not in scanned.missing)
        raise DataError(
            f"{str(scanned.folder)!r} holds {given} but no train folder; add one: FOLDER/train/CLASS/PHOTO."
        )


def _check_no_class_is_empty(photo_set: PhotoSet, splits: Iterable[Split]) -> None:
    for split in splits:
        for name, count in zip(photo_set.class_names, photo_set.counts(split), strict=True):
            if count == 0:
                left_out = len(photo_set.group_leaks)
                of_groups = f" {left_out} photos whose group is in another split are left out."
                raise DataError(
                    f"the class {name!r} has no {split} photo in {str(photo_set.folder)!r}. Every class needs photos "
                    "in train, val and test; add some (about 20 or more per class) or remove the class folder."
                    + (of_groups if left_out else "")
                    + _copies(photo_set, name)
                    + _other_spelling(name, photo_set.class_names)
                )


def _copies(photo_set: PhotoSet, name: str) -> str:
    sha256s = [p.sha256 for p in photo_set.photos if photo_set.class_names[p.label] == name]
    alone = len(set(sha256s))
    if alone == len(sha256s):
        return ""
    differ = "1 is different" if alone == 1 else f"{alone} are different"
    return f" Of its {len(sha256s)} photos only {differ}: the others are exact copies."


def _other_spelling(name: str, class_names: Sequence[str]) -> str:
    for other in class_names:
        if other != name and other.strip().casefold() == name.strip().casefold():
            return f" {other!r} is another class; rename one of them if they are meant as one."
    return ""


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


def _grouped(scanned: ScannedPhotos, group_by: str) -> list[Photo]:
    photos = scanned.photos
    groups = find_groups(
        group_by,
        [photo.path for photo in photos],
        folder=scanned.folder,
        subfolders=[photo.subfolder for photo in photos],
    )
    return [replace(photo, group=group) for photo, group in zip(photos, groups, strict=True)]


def _check_groups(photos: Sequence[Photo], scanned: ScannedPhotos, group_by: str) -> None:
    """Check that some photo has a group, and that each class of train has one for every split taken from it."""
    if all(photo.group is None for photo in photos):
        reason = WITHOUT_GROUPS.get(group_by, "it matches no path")
        raise DataError(
            f"--group-by {group_by!r} finds no group in {str(scanned.folder)!r}: {reason}."
        )
    needed = 1 + len(scanned.missing)
    for label, name in enumerate(scanned.class_names):
        of_class = (photo for photo in photos if photo.label == label and photo.split == "train")
        count = len({photo.group or photo.sha256 for photo in of_class})
        if scanned.missing and count < needed:
            raise DataError(
                f"--group-by {group_by!r} puts the photos of the class {name!r} into {count} group"
                f"{'' if count == 1 else 's'}, and train, {' and '.join(scanned.missing)} need one each, {needed} in "
                "all. Add photos of other groups, or choose smaller ones with a regular expression."
            )


def _split_by_group(photos: Sequence[Photo], *, missing: Sequence[Split], seed: int) -> list[Photo]:
    """Return the photos in the same order, the groups of train divided among train and the missing splits."""
    members: dict[str, set[int]] = {}
    for photo in photos:
        if photo.split == "train":
            members.setdefault(photo.group or photo.sha256, set()).add(photo.label)
    splits = split_groups(members, missing=missing, seed=seed)
    return [
        replace(photo, split=splits[photo.group or photo.sha256])
        if photo.split == "train"
        else photo
        for photo in photos
    ]


def _without_group_leaks(
    photos: Sequence[Photo],
) -> tuple[list[Photo], tuple[GroupLeak, ...]]:
    """Return the photos without those whose group is in a later split as well: test wins over val over train."""
    split_of: dict[str, Split] = {}
    for photo in sorted(photos, key=lambda photo: SPLITS.index(photo.split)):
        if photo.group is not None:
            split_of[photo.group] = photo.split
    kept = [p for p in photos if p.group is None or split_of[p.group] == p.split]
    leaks = tuple(
        GroupLeak(group=photo.group, dropped=photo.path)
        for photo in photos
        if photo.group is not None and split_of[photo.group] != photo.split
    )
    return kept, leaks


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
