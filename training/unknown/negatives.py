"""Photos of other things, on which the unknown score is measured."""

from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.photos import find_photos
from training.data.files import BadFile, check_files
from training.data.photos import Photo
from training.errors import DataError


def read_negatives(folder: Path) -> list[Photo]:
    """Return the readable photos of a folder, at any depth; their label and split mean nothing.

    Raises:
        DataError: the folder cannot be read, or holds no photo that can.
    """
    try:
        paths = find_photos(folder).paths
    except FolderError as error:
        raise DataError(str(error)) from None
    checked = zip(paths, check_files(paths), strict=True)
    photos = [
        Photo(path=path, label=0, split="test", sha256=sha256)
        for path, sha256 in checked
        if not isinstance(sha256, BadFile)
    ]
    if not photos:
        raise DataError(
            f"{str(folder)!r} holds no photo that can be read; --negatives takes a folder of photos of other things."
        )
    return photos
