"""Folders with photos that are not classes by their names: of unlabeled photos, or called by what lies in them."""

import re
from collections.abc import Sequence
from pathlib import Path

from photo_folder.passed import plural
from photo_folder.tree import Folder

_UNLABELED = re.compile(
    r"(?:.*[ _.-])?(?:un-?labell?ed|unsup|unsupervised|pred|prediction|predictions)", re.IGNORECASE
)
_LABELED = re.compile(r"labell?ed", re.IGNORECASE)
# Of detection and segmentation: images/ beside masks/, JPEGImages/ beside SegmentationClass/.
_CONTENT = re.compile(
    r"(?:jpe?g|png)?[ _.-]?(?:images?|imgs?|photos?|pictures?|jpe?gs?)|annotations?|annots?|labels?|masks?|trimaps?"
    r"|ground[ _-]?truths?|segmentation(?:class|object|s)?",
    re.IGNORECASE,
)
CLASSES_MIN = 2


def is_content_name(name: str) -> bool:
    """Return whether folders of this name hold photos, or pictures that are their labels, not classes."""
    return _CONTENT.fullmatch(name.strip()) is not None


def without_unlabeled(
    folders: Sequence[Folder],
    notes: list[str],
    unlabeled: Path | None,
    *,
    needed: int = CLASSES_MIN,
) -> list[Folder]:
    """Return the folders without that of `--unlabeled`, and without those called as such, which are noted.

    By its name alone a folder is left out only where `needed` others remain and none of them is called labeled:
    bottles may have a label or not.
    """
    kept = [folder for folder in folders if not _is_same(folder, unlabeled)]
    named = [folder for folder in kept if _UNLABELED.fullmatch(folder.name.strip())]
    others = [folder for folder in kept if folder not in named]
    if len(others) < needed or any(_LABELED.fullmatch(folder.name.strip()) for folder in others):
        return kept
    notes += [
        f"{folder.path} holds {plural(len(folder.all_photos), 'photo')} without labels, by its name, and is not a "
        "class; train on them with --unlabeled"
        for folder in named
    ]
    return others


def _is_same(folder: Folder, path: Path | None) -> bool:
    return path is not None and path.exists() and folder.path.samefile(path)
