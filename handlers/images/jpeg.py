"""JPEGs: what decoding one costs, and its pixels in the size that Pillow chose."""

import importlib
import struct
from types import ModuleType

import numpy as np
from PIL import Image

from handlers.errors import UndecodableImageError
from handlers.images.limits import DecodeLimits

Bytes = bytes | bytearray | memoryview

# Each scan of a JPEG with several covers the whole image, so a small file can take hours to decode. Encoders write
# about 10; twenty random megabytes (the video that phones append) hold about 300 such markers by chance.
MAX_SCANS = 500

_START_OF_SCAN = 0xDA
# Markers without a length behind them: fill bytes, TEM, RST0 to RST7, SOI.
_BARE_MARKERS = {0xFF, 0x01, *range(0xD0, 0xD9)}


def _import_if_installed(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


# A plain TorchServe has only Pillow: the same pixels, more slowly.
simplejpeg = _import_if_installed("simplejpeg")


def is_baseline(data: Bytes, image: Image.Image) -> bool:
    """Return whether a JPEG that Pillow has opened is decoded row by row, so that its cost is that of the result.

    A progressive one, and one with a scan for each colour, is kept whole in memory as coefficients.
    """
    return "progressive" not in image.info and _scanned_channels(data) == len(image.getbands())


def check_scans(data: Bytes) -> None:
    """Raise UndecodableImageError if there are more scans than any encoder writes."""
    if bytes(data).count(b"\xff\xda") > MAX_SCANS:
        raise UndecodableImageError(f"the JPEG has more than {MAX_SCANS} scans.")


def check_size(data: Bytes, image: Image.Image, limits: DecodeLimits) -> None:
    """Raise ImageTooLargeError if the image, not scaled yet, is too large by its header."""
    if image.width * image.height <= min(limits.max_pixels, limits.max_header_pixels):
        return
    if is_baseline(data, image):
        limits.check_header(image.size)
    elif "progressive" in image.info:
        limits.check_size(image.size, kind="a progressive JPEG")
    else:
        limits.check_size(image.size, kind="a JPEG with a scan for each colour")


def decode_jpeg(
    data: Bytes, image: Image.Image, *, shorter_side_px: int, limits: DecodeLimits
) -> Image.Image | None:
    """Scale a JPEG that Pillow has opened, and return its RGB pixels; None where Pillow has to decode it.

    Raises:
        ImageTooLargeError: too many pixels remain after scaling.
        UndecodableImageError: it has too many scans, or its data ends early.
    """
    whole_px = image.size
    baseline = is_baseline(data, image)
    if not baseline:
        check_scans(data)
    image.draft(None, (shorter_side_px, shorter_side_px))
    if baseline:
        limits.check_scaled(whole_px, scaled_px=image.size)
    pixels = _decode_with_simplejpeg(data, image)
    return (
        None if pixels is None else Image.frombuffer("RGB", image.size, pixels, "raw", "RGB", 0, 1)
    )


def _decode_with_simplejpeg(data: Bytes, image: Image.Image) -> np.ndarray | None:
    """Return `(H, W, 3) uint8` in the size Pillow chose, or None where the two decoders may differ."""
    if simplejpeg is None or image.mode not in ("RGB", "L"):
        return None
    width, height = image.size
    try:
        pixels: np.ndarray = simplejpeg.decode_jpeg(data, "RGB", min_width=width, min_height=height)
    except ValueError as error:
        # libjpeg's message for an end marker in mid-image. Pillow fills the rest with grey and does not report it, so
        # only a host with simplejpeg notices.
        if "premature end of data segment" in str(error):
            raise UndecodableImageError(
                "the JPEG's data ends before its image is complete; send the whole file."
            ) from None
        # simplejpeg fails on what libjpeg only warns about. Pillow decides whether the file is still a photo.
        return None
    return pixels if pixels.shape[:2] == (height, width) else None


def _scanned_channels(data: Bytes) -> int:
    """Return how many channels the first scan holds; 0 if there is no scan."""
    position = 2
    while position + 4 < len(data):
        if data[position] != 0xFF:
            return 0
        marker = data[position + 1]
        if marker in _BARE_MARKERS:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == _START_OF_SCAN:
            return data[position + 4]
        (length,) = struct.unpack(">H", bytes(data[position + 2 : position + 4]))
        position += 2 + length
    return 0
