"""Say when photos that belong together seem to lie on both sides of a split although no --group-by was given."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from training.data.groups import find_groups
from training.data.photo_set import Photo, PhotoSet
from training.group_by import FOLDER

# The first part of a name (p12_front_3.jpg: p12), all of it before its last number (shoe-12 (3).jpg: shoe-12), or all
# but a letter at its end (p12b.jpg: p12).
NAME_PATTERNS = (
    r"([^/_ -]+)[_ -][^/]*$",
    r"([^/]*[^/\d])\d+\D*$",
    r"([^/]*\d)[A-Za-z]\.[^/.]*$",
)
# Below these, names or near-duplicates are more likely to agree by chance.
GROUPS_MIN = 3
GROUPED_SHARE_MIN = 0.5
SHARED_PHOTOS_MIN = 2
SHARED_SHARE_MIN = 0.1
NEAR_SHARE_MIN = 0.05


def suggest_group_by(
    photos: PhotoSet, *, group_by: str | None, near_duplicates: Collection[Path]
) -> str | None:
    """Return a sentence that suggests --group-by; None if it is given, or if nothing suggests groups.

    `near_duplicates` are the photos of val and test with a near-duplicate in another split.
    """
    if group_by is not None:
        return None
    evaluated = [photo for photo in photos.photos if photo.split != "train"]
    for candidate in (FOLDER, *NAME_PATTERNS):
        groups = find_groups(
            candidate,
            [photo.path for photo in photos.photos],
            folder=photos.folder,
            subfolders=[photo.subfolder for photo in photos.photos],
        )
        if not _look_like_groups(photos.photos, groups):
            continue
        shared = _shared(photos.photos, groups)
        if len(shared) >= max(SHARED_PHOTOS_MIN, SHARED_SHARE_MIN * len(evaluated)):
            photo, group, other = shared[0]
            return (
                f"{len(shared)} of {len(evaluated)} photos of val and test seem to belong to a group that is also in "
                f"train: {photo.path} and {other.path} (group {group!r}). If these show the same thing, person or "
                "scene, accuracy on val and test is too optimistic; --group-by "
                f"{shlex.quote(candidate)} keeps each group in one split."
            )
    if len(near_duplicates) >= max(SHARED_PHOTOS_MIN, NEAR_SHARE_MIN * len(evaluated)):
        return (
            f"{len(near_duplicates)} of {len(evaluated)} photos of val and test are near-duplicates of photos in "
            "another split, as in series of one product, person or video: accuracy on val and test is too optimistic. "
            "--group-by folder, exif-burst or a regular expression keeps each series in one split."
        )
    return None


def _look_like_groups(photos: Sequence[Photo], groups: Sequence[str | None]) -> bool:
    """Return whether most photos are in a group of several, and half of the classes have several such groups."""
    sizes = Counter(
        (photo.label, group) for photo, group in zip(photos, groups, strict=True) if group
    )
    several = {key: size for key, size in sizes.items() if size > 1}
    if sum(several.values()) < GROUPED_SHARE_MIN * len(photos):
        return False
    per_class = Counter(label for label, _ in several)
    labels = {photo.label for photo in photos}
    return sum(per_class[label] >= GROUPS_MIN for label in labels) >= len(labels) / 2


def _shared(
    photos: Sequence[Photo], groups: Sequence[str | None]
) -> list[tuple[Photo, str, Photo]]:
    """Return the photos of val and test, each with its group and a train photo of that group and class."""
    trained: dict[tuple[int, str], Photo] = {}
    by_split: dict[bool, list[tuple[Photo, str]]] = defaultdict(list)
    for photo, group in zip(photos, groups, strict=True):
        if group is not None:
            by_split[photo.split == "train"].append((photo, group))
    for photo, group in by_split[True]:
        trained.setdefault((photo.label, group), photo)
    return [
        (photo, group, trained[photo.label, group])
        for photo, group in by_split[False]
        if (photo.label, group) in trained
    ]
