"""The supported image formats, detected by their first bytes, never by file name or content type."""

import importlib
import io

from PIL import Image, features

from handlers.errors import EmptyBodyError, UndecodableImageError, UnsupportedMediaTypeError
from handlers.images.magic import HEAD_BYTES, describe_other, photo_format

ALLOWED = "JPEG, PNG, WebP, GIF, BMP, TIFF" + (", AVIF" if features.check("avif") else "")

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


def detect_format(data: bytes | bytearray | memoryview) -> str:
    """Return Pillow's name for the supported format that `data` starts like.

    Raises:
        EmptyBodyError: there are no bytes.
        UnsupportedMediaTypeError: it is a known format that is not supported.
        UndecodableImageError: it is not a known format.
    """
    head = bytes(data[:HEAD_BYTES])
    if not head:
        raise EmptyBodyError(f"the image is empty; send the bytes of an image ({ALLOWED}).")
    name = photo_format(head)
    if name == "HEIC":
        raise _unsupported(name)
    if name == "AVIF" and not features.check("avif"):
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
    importlib.import_module(_PLUGINS[format_name])
    factory, _ = Image.OPEN[format_name]
    return factory(io.BytesIO(data), "")


def _unsupported(name: str) -> UnsupportedMediaTypeError:
    return UnsupportedMediaTypeError(f"this is {name}; send {ALLOWED}.")
