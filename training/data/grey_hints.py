"""Photos of 10, 12 or 14 bits in files of 16, as microscopes and industrial cameras write them: too dark to tell."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handlers.images.colour import GreyRange
from handlers.images.magic import HEAD_BYTES, photo_format
from training.data.checked import deep_colour_of, deep_grey_of
from training.data.photo_set import PhotoSet
from training.threads import file_threads

# A photo that uses no more than these of its 16 bits keeps 64 of 256 grey levels at most.
UNUSED_FROM_BITS = 14
_DEEP_FORMATS = ("PNG", "TIFF")


def suggest_grey_range(photos: PhotoSet, *, grey_range: GreyRange = "full") -> str | None:
    """Return a line on 16-bit photos of which most are dark, None where they are not.

    For greyscale it names the range that they use; colour has none.
    """
    paths = [photo.path for photo in (*photos.photos, *photos.unlabeled)]
    with file_threads() as pool:
        greys, colours = zip(*pool.map(_highest_values, paths), strict=True)
    if grey_range == "full" and (dark := _dark(greys)):
        level = 2 ** max(dark).bit_length() - 1
        return (
            f"{len(dark)} of {len(paths)} photos are 16-bit greyscale with no value above {max(dark)} of 65535: at "
            f"most {_levels(level)} of 256 grey levels remain. Train with --grey-range {level}, the value of white, or "
            "with --grey-range minmax, from each file's darkest value to its brightest; serving then does the same."
        )
    if dark := _dark(colours):
        return (
            f"{len(dark)} of {len(paths)} photos are 16-bit colour with no value above {max(dark)} of 65535: at most "
            f"{_levels(max(dark))} of 256 levels of each colour remain, and --grey-range is for greyscale alone. "
            "Convert them to 8 bits, in training and before they are sent."
        )
    return None


def _dark(highest: Sequence[int | None]) -> list[int]:
    """Return the highest values that leave bits unused, if these are half of all or more."""
    known = [value for value in highest if value is not None]
    dark = [value for value in known if value.bit_length() <= UNUSED_FROM_BITS]
    return dark if len(dark) * 2 >= len(known) else []


def _levels(highest: int) -> int:
    return (highest >> 8) + 1


def _highest_values(path: Path) -> tuple[int | None, int | None]:
    """Return the largest value of a photo that is 16-bit greyscale, and that of one in 16-bit colour."""
    with path.open("rb") as file:
        if photo_format(file.read(HEAD_BYTES)) not in _DEEP_FORMATS:
            return None, None
    grey = deep_grey_of(path)
    if grey is not None:
        return (int(grey.max()) if grey.dtype == np.uint16 else None), None
    colour = deep_colour_of(path)
    # The lower byte is gone.
    return None, None if colour is None else int(colour.max()) << 8 | 0xFF
