"""Pixels of every mode that Pillow has, as 8-bit RGB.

Greyscale of more than 8 bits is scaled by a `GreyRange`. By default, 16 bits become 8 by dropping the lower ones. For
32-bit integers and floats, white is the smallest of 1 (floats only), 255, 65535, 2^31 - 1 and 2^32 - 1 that no value of
the image exceeds, and everything below 0 is black.
"""

from typing import Any, Literal

import numpy as np
from PIL import Image, ImageCms

from handlers.errors import UnsupportedMediaTypeError

GreyRange = Literal["full", "minmax"] | int
"""full: of the file's format. minmax: from the file's darkest value to its brightest. A number: the value of white."""

MAX_WHITE_LEVEL = 2**32 - 1

_PLAIN_MODES = {"1", "L", "RGB", "CMYK", "YCbCr"}
_ALPHA_MODES = {"RGBA", "RGBa", "LA", "La", "PA"}
_SIXTEEN_BIT_MODES = {"I;16", "I;16B", "I;16L", "I;16N"}
_COLOUR_MODES = {"RGB", "RGBA"}
_DEEP_GREY_MODES = {*_SIXTEEN_BIT_MODES, "I", "F"}
_WHITE_LEVELS = (255, 65535, 2**31 - 1, 2**32 - 1)

# Tags of a TIFF.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO = 0
_UNSIGNED = 1


def to_rgb(image: Image.Image, *, grey_range: GreyRange = "full") -> Image.Image:
    """Return the image as RGB, transparency as white.

    Raises:
        UnsupportedMediaTypeError: its pixels are of a kind that has no agreed colours.
    """
    mode = image.mode
    if is_deep_grey(image):
        return Image.fromarray(_to_eight_bits(image, grey_range)).convert("RGB")
    if mode == "LAB":
        return _from_lab(image)
    if mode in _ALPHA_MODES or mode == "P" or "transparency" in image.info:
        return _flatten_on_white(image)
    if mode not in _PLAIN_MODES:
        raise UnsupportedMediaTypeError(
            f"the image stores its pixels as {mode}; send greyscale or RGB of 8 or 16 bits per channel."
        )
    return image.convert("RGB")


def is_deep_grey(image: Image.Image) -> bool:
    """Return whether it is greyscale of more than 8 bits."""
    return image.mode in _DEEP_GREY_MODES


def is_deep_colour(image: Image.Image) -> bool:
    """Return whether it is colour of 16 bits, of which Pillow keeps the higher byte; the image is not decoded yet."""
    return image.mode in _COLOUR_MODES and any(
        ";16" in str(tile.args) for tile in getattr(image, "tile", ())
    )


def grey_values(image: Image.Image) -> np.ndarray:
    """Return the values of greyscale of more than 8 bits: `(H, W)` uint16, int32, uint32 or float32, all finite."""
    values: np.ndarray = np.asarray(image)  # (H, W)
    if image.mode == "F":
        largest = float(np.finfo(np.float32).max)
        finite: np.ndarray = np.nan_to_num(values, nan=0.0, posinf=largest, neginf=0.0)
        return finite
    if image.mode == "I":
        # Pillow keeps unsigned 32 bits in signed ones.
        is_unsigned = _tag(image, _SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED
        return values.view(np.uint32) if is_unsigned else values
    # Twelve bits that a TIFF packs as twelve are its full range.
    spare_bits = max(0, 16 - int(_tag(image, _BITS_PER_SAMPLE, 16)))
    return np.left_shift(values.astype(np.uint16), spare_bits, dtype=np.uint16)


def _to_eight_bits(image: Image.Image, grey_range: GreyRange) -> np.ndarray:
    grey: np.ndarray
    values = grey_values(image)
    if image.mode in _SIXTEEN_BIT_MODES and grey_range == "full":
        # Pillow's own conversion clips at 255. It takes the higher byte of a 16-bit RGB file, too.
        grey = (values >> 8).astype(np.uint8)
    else:
        grey = _scale(values, *_black_and_white(values, grey_range))
    if _tag(image, _PHOTOMETRIC, None) == _WHITE_IS_ZERO:
        grey = 255 - grey
    return grey


def _black_and_white(values: np.ndarray, grey_range: GreyRange) -> tuple[float, float]:
    if isinstance(grey_range, int):
        return 0.0, float(grey_range)
    if grey_range == "minmax":
        return float(values.min()), float(values.max())
    highest = float(values.max())
    levels = (1, *_WHITE_LEVELS) if values.dtype.kind == "f" else _WHITE_LEVELS
    return 0.0, float(next((level for level in levels if highest <= level), highest))


def _scale(values: np.ndarray, black: float, white: float) -> np.ndarray:
    if white <= black:
        return np.zeros(values.shape, np.uint8)
    # Not float64, in which 50 million pixels would take 200 MB more.
    grey: np.ndarray = values.astype(np.float32)
    np.clip(grey, black, white, out=grey)
    grey -= np.float32(black)
    grey *= np.float32(255 / (white - black))
    rounded: np.ndarray = np.rint(grey, out=grey).astype(np.uint8)
    return rounded


def _tag(image: Image.Image, tag: int, otherwise: Any) -> Any:
    """Return the first value of a TIFF's tag, and `otherwise` where there is none."""
    value = getattr(image, "tag_v2", {}).get(tag, otherwise)
    return value[0] if isinstance(value, tuple) and value else value


def _from_lab(image: Image.Image) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None
    return converted


def _flatten_on_white(image: Image.Image) -> Image.Image:
    with_alpha = image.convert("RGBA")
    white = Image.new("RGBA", with_alpha.size, "white")
    return Image.alpha_composite(white, with_alpha).convert("RGB")
