"""Photos decoded again after they were checked: they have passed the limits, whatever those were."""

from pathlib import Path

import numpy as np
from PIL import Image

from handlers.images.colour import GreyRange
from handlers.images.decoding import decode_photo, read_deep_grey, read_header
from handlers.images.limits import DecodeLimits
from handlers.images.preprocessing import PreprocessingSpec, load_pixels

_NONE = DecodeLimits(max_pixels=2**62, max_header_pixels=2**62, max_bytes=2**62)


def decode_checked(
    path: Path, *, shorter_side_px: int, grey_range: GreyRange = "full"
) -> Image.Image:
    """Return the upright RGB photo, no smaller than `shorter_side_px` unless the file is.

    Raises:
        PhotoError: it has changed since. OSError: it cannot be read.
    """
    return decode_photo(
        path.read_bytes(), shorter_side_px=shorter_side_px, limits=_NONE, grey_range=grey_range
    )


def load_checked(path: Path, spec: PreprocessingSpec) -> np.ndarray:
    """Return the pixels that serving computes, `(S, S, 3) uint8`. Raises as `decode_checked`."""
    return load_pixels(path.read_bytes(), spec, _NONE)


def header_of(path: Path) -> tuple[int, str]:
    """Return the photo's shorter side in pixels, and Pillow's name for its format. Raises as `decode_checked`."""
    header = read_header(path.read_bytes(), limits=_NONE)
    return min(header.size_px), header.format_name


def deep_colour_of(path: Path) -> np.ndarray | None:
    """Return the pixels, `(H, W, 3) uint8`, of a photo of 16 bits a channel; None for others. Raises likewise."""
    data = path.read_bytes()
    if not read_header(data, limits=_NONE).is_deep_colour:
        return None
    return np.asarray(decode_photo(data, shorter_side_px=1, limits=_NONE))


def deep_grey_of(path: Path) -> np.ndarray | None:
    """Return the values, `(H, W)`, of greyscale of more than 8 bits; None for other photos. Raises likewise."""
    return read_deep_grey(path.read_bytes(), limits=_NONE)
