"""The photos of a folder whose subfolders mean nothing: to be classified, measured with, or learned from unlabeled."""

from dataclasses import dataclass
from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.tree import read_tree


@dataclass(frozen=True, kw_only=True)
class PhotoFiles:
    paths: tuple[Path, ...]
    """Sorted, those of a folder before those of its subfolders."""
    notes: tuple[str, ...]
    """What was passed by."""


def find_photos(path: Path) -> PhotoFiles:
    """Return the photos anywhere under the folder.

    Raises:
        FolderError: it cannot be read, or holds no photo.
    """
    tree = read_tree(path)
    passed = tree.passed.describe()
    if not tree.root.all_photos:
        raise FolderError(
            f"the folder {str(path)!r} holds no photos{f' ({passed})' if passed else ''}; photos are known by their "
            "names and their first bytes."
        )
    return PhotoFiles(paths=tuple(tree.root.all_photos), notes=(passed,) if passed else ())
