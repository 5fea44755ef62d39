"""Photos without labels to learn from as well: a folder of them, or the 100,000 of STL-10."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from training.data.files import BadFile, check_files, list_files, refuse_bad_share
from training.data.photos import Photo, PhotoSet
from training.data.torchvision_sets import unpack_unlabeled_stl10
from training.errors import DataError

NO_LABEL = -1


def with_unlabeled(photos: PhotoSet, source: Path) -> PhotoSet:
    """Return the set with the source's photos as `unlabeled`, broken ones among its bad files.

    Left out is what has a label and what judges, by its bytes: the source may well be the folder
    the labelled photos were chosen from.

    Raises:
        DataError: no such folder, nothing new in it, too many bad files.
        DownloadError: STL-10 is not here and could not be fetched.
    """
    known = {photo.sha256 for photo in photos.photos}
    unlabeled, bad_files = read_unlabeled(_folder(source), known=known)
    return replace(photos, unlabeled=unlabeled, bad_files=(*photos.bad_files, *bad_files))


def read_unlabeled(
    folder: Path, *, known: Collection[str]
) -> tuple[tuple[Photo, ...], tuple[BadFile, ...]]:
    """Return the photos anywhere under the folder, but none whose sha256 is known, and the broken."""
    paths = list(list_files(folder))
    checked = check_files(paths)
    bad_files = tuple(result for result in checked if isinstance(result, BadFile))
    refuse_bad_share(bad_files, total=len(checked))
    found = tuple(
        Photo(path=path, label=NO_LABEL, split="train", sha256=sha256)
        for path, sha256 in zip(paths, checked, strict=True)
        if isinstance(sha256, str) and sha256 not in known
    )
    if not found:
        raise DataError(
            f"--unlabeled {str(folder)!r} holds no photo that --data has not; give a folder of others."
        )
    return found, bad_files


def _folder(source: Path) -> Path:
    if not source.exists() and str(source).lower() == "stl10":
        return unpack_unlabeled_stl10()
    if not source.is_dir():
        raise DataError(
            f"--unlabeled {str(source)!r} is no folder; give a folder of photos, or stl10."
        )
    return source
