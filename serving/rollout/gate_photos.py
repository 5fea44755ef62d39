"""Labelled photos to judge a version by: FOLDER/CLASS/PHOTO."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LabelledPhoto:
    path: Path
    label: str

    def read(self) -> bytes:
        return self.path.read_bytes()


def read_labelled_photos(folder: Path, class_names: Sequence[str]) -> list[LabelledPhoto]:
    """Return the photos, taking turns between the classes, so that the first few show them all.

    Raises:
        InputError: no such folder, a class folder the version does not know, or no photo.
    """
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is no folder; give one that holds a folder per class.")
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    unknown = [path.name for path in classes if path.name not in class_names]
    if unknown:
        raise InputError(
            f"{folder} holds {unknown[0]!r}, which is no class of this version ({', '.join(class_names)}); give the "
            "folder right above the class folders, such as DATA/test."
        )
    found = [
        [
            LabelledPhoto(path=path, label=one.name)
            for path in sorted(one.iterdir())
            if _is_photo(path)
        ]
        for one in classes
    ]
    photos = [
        row[turn]
        for turn in range(max(map(len, found), default=0))
        for row in found
        if turn < len(row)
    ]
    if not photos:
        raise InputError(f"{folder} holds no photo in a folder of its class.")
    return photos


def _is_photo(path: Path) -> bool:
    # Whatever its ending: a file that is no photo counts as a wrong answer and is found that way.
    return path.is_file() and not path.name.startswith(".")
