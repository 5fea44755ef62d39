"""The supported image formats, detected by their first bytes, never by file name or content type."""

import importlib
import io
from importlib.util import find_spec

from PIL import Image, features

from handlers.errors import EmptyBodyError, UndecodableImageError, UnsupportedMediaTypeError
from handlers.images.heic import HeicImage
from handlers.images.magic import HEAD_BYTES, describe_other, photo_format

_HAS_AVIF = bool(features.check("avif"))
# The HEVC decoder of a wheel that a plain TorchServe lacks.
_HAS_HEIC = find_spec("_pi_heif") is not None

ALLOWED = ", ".join(
    ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"] + ["AVIF"] * _HAS_AVIF + ["HEIC"] * _HAS_HEIC
)

# Asked for a format it has not loaded yet, Pillow imports every plugin it has; these are all we need.
_PLUGINS = {
    "JPEG": "PIL.JpegImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "GIF": "PIL.GifImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "AVIF": "PIL.AvifImagePlugin",
}

# Greyscale that Pillow can unpack and does not list: byte order, photometric interpretation (0: white is zero), sample
# format (1 unsigned, 2 signed, 3 float), fill order, bits, extra samples -> mode and raw mode.
_MORE_TIFFS = {
    (b"MM", 0, (1,), 1, (16,), ()): ("I;16B", "I;16B"),
    (b"II", 0, (1,), 1, (32,), ()): ("I", "I;32N"),
    (b"II", 0, (2,), 1, (32,), ()): ("I", "I;32S"),
    (b"II", 0, (3,), 1, (64,), ()): ("F", "F;64F"),
    (b"II", 1, (3,), 1, (64,), ()): ("F", "F;64F"),
}


def detect_format(data: bytes | bytearray | memoryview) -> str:
    """Return the supported format that `data` starts like, by Pillow's name or HEIC.

    Raises:
        EmptyBodyError: there are no bytes.
        UnsupportedMediaTypeError: it is a known format that is not supported.
        UndecodableImageError: it is not a known format.
    """
    head = bytes(data[:HEAD_BYTES])
    if not head:
        raise EmptyBodyError(f"the image is empty; send the bytes of an image ({ALLOWED}).")
    name = photo_format(head)
    if name == "HEIC" and not _HAS_HEIC:
        raise _unsupported("HEIC, which needs the package pi-heif on the host that reads it")
    if name == "AVIF" and not _HAS_AVIF:
        raise _unsupported("AVIF, which the installed Pillow cannot decode")
    if name is not None:
        return name
    other = describe_other(head)
    if other is not None:
        raise _unsupported(other)
    raise UndecodableImageError(
        f"the {len(data)} bytes start with {head[:8].hex(' ')}, which is not a known image format; "
        f"send {ALLOWED}."
    )


def open_image(data: bytes | bytearray | memoryview, format_name: str) -> Image.Image:
    """Return the image, not decoded yet, by the one plugin that reads `format_name`.

    Unlike Image.open, this keeps the plugin's reason, and leaves the limit of pixels to the caller. Raises nearly
    anything if the file is broken.
    """
    if format_name == "HEIC":
        return HeicImage(io.BytesIO(data), "")
    plugin = importlib.import_module(_PLUGINS[format_name])
    if format_name == "TIFF":
        plugin.OPEN_INFO.update(_MORE_TIFFS)
    factory, _ = Image.OPEN[format_name]
    return factory(io.BytesIO(data), "")


def _unsupported(name: str) -> UnsupportedMediaTypeError:
    return UnsupportedMediaTypeError(f"this is {name}; send {ALLOWED}.")
