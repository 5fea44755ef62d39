"""Greyscale of 10, 12 or 14 bits in files of 16, as microscopes and industrial cameras write it: too dark to tell."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handlers.images.colour import GreyRange
from handlers.images.magic import HEAD_BYTES, photo_format
from training.data.checked import deep_grey_of
from training.data.photo_set import PhotoSet
from training.threads import file_threads

# A photo that uses no more than these of its 16 bits keeps 64 of 256 grey levels at most.
UNUSED_FROM_BITS = 14
_DEEP_FORMATS = ("PNG", "TIFF")


def suggest_grey_range(photos: PhotoSet, *, grey_range: GreyRange = "full") -> str | None:
    """Return a line that names the range that most of the 16-bit photos use, None where they use all of it."""
    if grey_range != "full":
        return None
    paths = [photo.path for photo in (*photos.photos, *photos.unlabeled)]
    highest = _highest_values(paths)
    dark = [value for value in highest if value.bit_length() <= UNUSED_FROM_BITS]
    if not dark or len(dark) * 2 < len(highest):
        return None
    level = 2 ** max(dark).bit_length() - 1
    levels = (level >> 8) + 1
    return (
        f"{len(dark)} of {len(paths)} photos are 16-bit greyscale with no value above {max(dark)} of 65535: at most "
        f"{levels} of 256 grey levels remain. Train with --grey-range {level}, the value of white, or with "
        "--grey-range minmax, from each file's darkest value to its brightest; serving then does the same."
    )


def _highest_values(paths: Sequence[Path]) -> list[int]:
    """Return the largest value of each photo that is 16-bit greyscale."""
    with file_threads() as pool:
        return [value for value in pool.map(_highest_value, paths) if value is not None]


def _highest_value(path: Path) -> int | None:
    with path.open("rb") as file:
        if photo_format(file.read(HEAD_BYTES)) not in _DEEP_FORMATS:
            return None
    values = deep_grey_of(path)
    return int(values.max()) if values is not None and values.dtype == np.uint16 else None
