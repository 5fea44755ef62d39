"""What every reader of labelled photos returns: the files, each with its class and the split that is named for it."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.split_names import Split
from photo_folder.tree import Folder


@dataclass(frozen=True, kw_only=True)
class LabelledFile:
    path: Path
    class_name: str
    split: Split | None = None
    """None where neither a folder nor a table names one."""
    subfolder: str = ""
    """The topmost folder inside the class folder; with a table, the folder that the photo lies in."""


@dataclass(frozen=True, kw_only=True)
class LabelledFiles:
    files: tuple[LabelledFile, ...]
    """In the order of splits, classes and names."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the folder was read: one sentence each."""
    roots: tuple[Path, ...] = ()
    """Folders in which a further file would be read; none where a table lists the files."""

    @property
    def splits(self) -> frozenset[Split]:
        """Return the splits that are named; empty where none is."""
        return frozenset(file.split for file in self.files if file.split)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the classes in sorted order."""
        return tuple(sorted({file.class_name for file in self.files}))


def to_class_name(name: str) -> str:
    """Return the name of a class in NFC: a Mac and a Linux may write the same letters as different bytes.

    Raises:
        FolderError: the name is not UTF-8, so that neither JSON nor a terminal could hold it.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise FolderError(
            f"the class name {name!r} is not UTF-8; rename the folder, for example with convmv."
        ) from None
    return unicodedata.normalize("NFC", name)


def label_photos(folder: Folder, name: str, split: Split | None) -> list[LabelledFile]:
    """Return the photos anywhere in the folder as those of the class. Raises FolderError as `to_class_name`."""
    class_name = to_class_name(name)
    return [
        LabelledFile(
            path=path,
            class_name=class_name,
            split=split,
            subfolder=_subfolder(path, folder.path),
        )
        for path in folder.all_photos
    ]


def _subfolder(path: Path, folder: Path) -> str:
    inside = path.relative_to(folder).parts
    return inside[0] if len(inside) > 1 else ""
