"""Bytes to an upright RGB image, the same in training and in serving.

Pillow defines the pixels. A JPEG at least twice as large as needed is scaled while it is decoded (in the DCT domain),
which is why every function asks how small the photo may become. simplejpeg, when installed, yields the same bytes
faster. EXIF orientation is applied, transparency becomes white, the first frame of an animation is taken, and 16 bits
become 8 by dropping the lower ones. Colour profiles are ignored.
"""

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from PIL import ExifTags, Image

from handlers.errors import (
    HandlerSettingsError,
    ImageTooLargeError,
    PhotoError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
)
from handlers.images import formats


def _import_if_installed(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


# A plain TorchServe has only Pillow: the same pixels, more slowly.
simplejpeg = _import_if_installed("simplejpeg")

DEFAULT_MAX_PIXELS = 50_000_000
DEFAULT_MAX_BYTES = 20_000_000

# Each scan of a progressive JPEG covers the whole image, so a small file can take hours to decode. Encoders write about
# 10; twenty random megabytes (the video that phones append) hold about 300 such markers by chance.
MAX_JPEG_SCANS = 500

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

_PLAIN_MODES = {"1", "L", "RGB", "CMYK", "YCbCr"}
_ALPHA_MODES = {"RGBA", "RGBa", "LA", "La", "PA"}
_SIXTEEN_BIT_MODES = {"I;16", "I;16B", "I;16L", "I;16N"}


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """What one image may cost before a single pixel of it is decoded."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    max_bytes: int = DEFAULT_MAX_BYTES

    def __post_init__(self) -> None:
        for name in ("max_pixels", "max_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise HandlerSettingsError(
                    f"{name} must be a whole number of 1 or more, not {value!r}."
                )


@dataclass(frozen=True, kw_only=True)
class DecodedPhoto:
    """An RGB image as stored in the file, and the transpose that makes it upright (or None)."""

    image: Image.Image
    upright: Image.Transpose | None
    format_name: str


@dataclass(frozen=True, kw_only=True)
class JpegHeader:
    size_px: tuple[int, int]
    upright: Image.Transpose | None


def decode_photo(
    data: Bytes, *, shorter_side_px: int, limits: DecodeLimits | None = None
) -> Image.Image:
    """Return the upright RGB photo, uncropped and no smaller than `shorter_side_px` unless the file is.

    Raises:
        PhotoError: the bytes are not an image in a supported format, or exceed `limits`.
    """
    photo = decode_as_stored(data, shorter_side_px=shorter_side_px, limits=limits)
    return photo.image if photo.upright is None else photo.image.transpose(photo.upright)


def decode_as_stored(
    data: Bytes, *, shorter_side_px: int, limits: DecodeLimits | None = None
) -> DecodedPhoto:
    """Return the RGB photo before its EXIF orientation is applied, which is cheaper on a smaller image.

    Raises:
        PhotoError: as `decode_photo`.
    """
    limits = limits or DecodeLimits()
    format_name = _detect_format(data, limits)
    with _photo_errors(data, format_name, limits):
        return _decode(data, format_name, shorter_side_px, limits)


def read_jpeg_header(data: Bytes, *, limits: DecodeLimits) -> JpegHeader | None:
    """Return the header of a JPEG that another decoder may decode to the same photo, else None.

    None for any other format, and for JPEGs that only Pillow decodes as promised above: CMYK, progressive files, and
    files without an end marker, which some decoders turn into a photo that is half grey.

    Raises:
        PhotoError: the bytes are not an image in a supported format, or exceed `limits`.
    """
    format_name = _detect_format(data, limits)
    if format_name != "JPEG":
        return None
    with (
        _photo_errors(data, format_name, limits),
        _open(data, format_name, limits) as image,
    ):
        is_plain = image.mode in ("RGB", "L") and "progressive" not in image.info
        if not is_plain or not bytes(data[-_END_WITHIN_BYTES:]).rstrip(b"\0").endswith(b"\xff\xd9"):
            return None
        return JpegHeader(size_px=image.size, upright=_find_upright(image))


def _detect_format(data: Bytes, limits: DecodeLimits) -> str:
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"the image has {len(data)} bytes; at most {limits.max_bytes} are allowed."
        )
    return formats.detect_format(data)


@contextmanager
def _photo_errors(data: Bytes, format_name: str, limits: DecodeLimits) -> Iterator[None]:
    try:
        yield
    except PhotoError:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLargeError(_too_many_pixels("too many pixels", limits)) from None
    except MemoryError:
        raise ImageTooLargeError("there is not enough memory to decode the image.") from None
    except Exception as error:
        # Pillow's plugins raise nearly anything on a broken file: OSError, SyntaxError, struct.error.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UndecodableImageError(
            f"the {len(data)} bytes look like {format_name} but cannot be decoded: {reason}."
        ) from None


@contextmanager
def _open(data: Bytes, format_name: str, limits: DecodeLimits) -> Iterator[Image.Image]:
    """Yield the image, not decoded yet, once its header is known to be within the limits."""
    formats.import_plugin(format_name)
    with Image.open(io.BytesIO(data), formats=(format_name,)) as image:
        if image.width * image.height > limits.max_pixels:
            size = f"{image.width} x {image.height} pixels"
            raise ImageTooLargeError(_too_many_pixels(size, limits))
        yield image


def _decode(
    data: Bytes, format_name: str, shorter_side_px: int, limits: DecodeLimits
) -> DecodedPhoto:
    with _open(data, format_name, limits) as image:
        if format_name == "JPEG":
            decoded = _decode_jpeg(data, image, shorter_side_px)
        else:
            image.load()
            decoded = _to_rgb(image)
        return DecodedPhoto(image=decoded, upright=_find_upright(image), format_name=format_name)


def _decode_jpeg(data: Bytes, image: Image.Image, shorter_side_px: int) -> Image.Image:
    if "progressive" in image.info and bytes(data).count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise UndecodableImageError(f"the JPEG has more than {MAX_JPEG_SCANS} scans.")
    image.draft(None, (shorter_side_px, shorter_side_px))
    pixels = _decode_with_simplejpeg(data, image)
    if pixels is None:
        return _to_rgb(image)
    return Image.frombuffer("RGB", image.size, pixels, "raw", "RGB", 0, 1)


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


def _to_rgb(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in _SIXTEEN_BIT_MODES:
        # Pillow's own conversion clips at 255. It takes the higher byte of a 16-bit RGB file, too.
        high_byte = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(high_byte).convert("RGB")
    if mode in _ALPHA_MODES or mode == "P" or "transparency" in image.info:
        return _flatten_on_white(image)
    if mode not in _PLAIN_MODES:
        raise UnsupportedMediaTypeError(
            f"the image stores its pixels as {mode}; send 8 or 16 bits per channel."
        )
    return image.convert("RGB")


def _flatten_on_white(image: Image.Image) -> Image.Image:
    with_alpha = image.convert("RGBA")
    white = Image.new("RGBA", with_alpha.size, "white")
    return Image.alpha_composite(white, with_alpha).convert("RGB")


def _find_upright(image: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # Broken EXIF data does not make a broken photo; as in decoding, Pillow may raise nearly anything.
        return None


def _too_many_pixels(size: str, limits: DecodeLimits) -> str:
    return f"the image has {size}; at most {limits.max_pixels} pixels are allowed."
