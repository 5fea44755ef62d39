"""Bytes to an upright RGB image, the same in training and in serving.

Pillow defines the pixels. A JPEG at least twice as large as needed is scaled while it is decoded (in the DCT domain),
which is why every function asks how small the photo may become. simplejpeg, when installed, yields the same bytes
faster. EXIF orientation is applied, or in HEIC and AVIF the file's own transform; transparency becomes white, the first
frame of an animation and the primary image of a burst are taken, and pixels of more than 8 bits become 8
(handlers/images/colour.py). Colour profiles are ignored.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image

from handlers.errors import ImageTooLargeError, PhotoError, UndecodableImageError
from handlers.images import formats, jpeg
from handlers.images.colour import GreyRange, grey_values, is_deep_colour, is_deep_grey, to_rgb
from handlers.images.limits import DecodeLimits
from handlers.images.png import repair_png

# Some cameras pad the file with zeros after its end marker.
_END_WITHIN_BYTES = 64

Bytes = bytes | bytearray | memoryview

# EXIF orientation -> what makes the image upright; 1 and unknown values need nothing.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# How Python prints an object that has no text of its own.
_OBJECT = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>")

# What Pillow says of its own insides.
_UNPROCESSED = re.compile(r" \(-?[0-9]+ bytes not processed\)")
_REASONS = {
    "not identified by this driver": "its header is damaged",
    "could not create decoder object": "it is damaged, or ends too early",
    "unknown pixel mode": "its pixels are stored as no decoder here reads them; save it as greyscale or RGB of 8 or 16 "
    "bits a channel",
}

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class DecodedPhoto:
    """An RGB image as stored in the file, and the transpose that makes it upright (or None)."""

    image: Image.Image
    upright: Image.Transpose | None
    format_name: str


@dataclass(frozen=True, kw_only=True)
class PhotoHeader:
    size_px: tuple[int, int]
    """As stored: before EXIF orientation and scaling."""
    format_name: str
    is_deep_colour: bool


@dataclass(frozen=True, kw_only=True)
class JpegHeader:
    size_px: tuple[int, int]
    upright: Image.Transpose | None


def decode_photo(
    data: Bytes,
    *,
    shorter_side_px: int,
    limits: DecodeLimits | None = None,
    grey_range: GreyRange = "full",
) -> Image.Image:
    """Return the upright RGB photo, uncropped and no smaller than `shorter_side_px` unless the file is.

    Raises:
        PhotoError: the bytes are not an image in a supported format, or exceed `limits`.
    """
    photo = decode_as_stored(
        data, shorter_side_px=shorter_side_px, limits=limits, grey_range=grey_range
    )
    return photo.image if photo.upright is None else photo.image.transpose(photo.upright)


def decode_as_stored(
    data: Bytes,
    *,
    shorter_side_px: int,
    limits: DecodeLimits | None = None,
    grey_range: GreyRange = "full",
) -> DecodedPhoto:
    """Return the RGB photo before its EXIF orientation is applied, which is cheaper on a smaller image.

    Raises:
        PhotoError: as `decode_photo`.
    """
    limits = limits or DecodeLimits()

    def decode(data: Bytes) -> DecodedPhoto:
        with _open(data, limits) as (image, format_name):
            pixels = None
            if format_name == "JPEG":
                pixels = jpeg.decode_jpeg(
                    data, image, shorter_side_px=shorter_side_px, limits=limits
                )
            if pixels is None:
                image.load()
                # Of a HEIC, only this is the real size.
                limits.check_size(image.size)
                pixels = to_rgb(image, grey_range=grey_range)
            return DecodedPhoto(image=pixels, upright=_find_upright(image), format_name=format_name)

    return _or_repaired(data, decode, limits)


def read_header(data: Bytes, *, limits: DecodeLimits | None = None) -> PhotoHeader:
    """Return what the file says about its image, which is not decoded.

    Raises:
        PhotoError: as `decode_photo`.
    """
    limits = limits or DecodeLimits()

    def read(data: Bytes) -> PhotoHeader:
        with _open(data, limits) as (image, format_name):
            return PhotoHeader(
                size_px=image.size, format_name=format_name, is_deep_colour=is_deep_colour(image)
            )

    return _or_repaired(data, read, limits)


def read_deep_grey(data: Bytes, *, limits: DecodeLimits | None = None) -> np.ndarray | None:
    """Return the values, `(H, W)`, of greyscale of more than 8 bits before they are scaled; None for other images.

    Raises:
        PhotoError: as `decode_photo`.
    """
    limits = limits or DecodeLimits()

    def read(data: Bytes) -> np.ndarray | None:
        with _open(data, limits) as (image, _):
            return grey_values(image) if is_deep_grey(image) else None

    return _or_repaired(data, read, limits)


def read_jpeg_header(data: Bytes, *, limits: DecodeLimits) -> JpegHeader | None:
    """Return the header of a JPEG that another decoder may decode to the same photo, else None.

    None for any other format, for JPEGs that only Pillow decodes as promised above (CMYK, progressive files, and files
    without an end marker, which some decoders turn into a photo that is half grey), and for those that only fit the
    limits if they are scaled.

    Raises:
        PhotoError: the bytes are not an image in a supported format, or exceed `limits`.
    """
    if formats.detect_format(data) != "JPEG":
        limits.check_bytes(len(data))
        return None
    with _open(data, limits) as (image, _):
        is_plain = image.mode in ("RGB", "L") and "progressive" not in image.info
        if not is_plain or image.width * image.height > limits.max_pixels:
            return None
        if not bytes(data[-_END_WITHIN_BYTES:]).rstrip(b"\0").endswith(b"\xff\xd9"):
            return None
        return JpegHeader(size_px=image.size, upright=_find_upright(image))


def _or_repaired(data: Bytes, read: Callable[[Bytes], Result], limits: DecodeLimits) -> Result:
    """Return what `read` makes of the file, or of the repaired file where it is a PNG that Pillow refuses."""
    try:
        return read(data)
    except UndecodableImageError as error:
        repaired = repair_png(data, limits) if bytes(data[:4]) == b"\x89PNG" else None
        if repaired is None:
            raise
        try:
            return read(repaired)
        except UndecodableImageError:
            raise error from None


@contextmanager
def _open(data: Bytes, limits: DecodeLimits) -> Iterator[tuple[Image.Image, str]]:
    """Yield the image, not decoded yet, and its format, once its header is known to be within the limits.

    Raises PhotoError, whatever happens in the block.
    """
    limits.check_bytes(len(data))
    format_name = formats.detect_format(data)
    with _photo_errors(data, format_name):
        limits.overrule_pillow()
        with formats.open_image(data, format_name) as image:
            if format_name == "JPEG":
                jpeg.check_size(data, image, limits)
            else:
                limits.check_size(image.size)
            yield image, format_name


@contextmanager
def _photo_errors(data: Bytes, format_name: str) -> Iterator[None]:
    try:
        yield
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(f"{str(error).partition(',')[0]}.") from None
    except MemoryError:
        raise ImageTooLargeError("there is not enough memory to decode the image.") from None
    except Exception as error:
        # Pillow's plugins raise nearly anything on a broken file: OSError, SyntaxError, struct.error.
        reason = _OBJECT.sub("the file", " ".join(str(error).split()))[:200]
        reason = _REASONS.get(reason, _UNPROCESSED.sub("", reason))
        raise UndecodableImageError(
            f"the {len(data)} bytes look like {format_name} but cannot be decoded: "
            f"{reason or type(error).__name__}."
        ) from None


def _find_upright(image: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # Broken EXIF data does not make a broken photo; as in decoding, Pillow may raise nearly anything.
        return None
