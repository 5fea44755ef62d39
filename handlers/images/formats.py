"""The supported image formats, detected by their first bytes, never by file name or content type."""

import importlib

from PIL import features

from handlers.errors import EmptyBodyError, UndecodableImageError, UnsupportedMediaTypeError

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

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}

# Unsupported formats that people do send: named in the error, so that they know what to convert.
_UNSUPPORTED = (
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML or SVG"),
    (b"<!DOCTYPE", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
)


def detect_format(data: bytes | bytearray | memoryview) -> str:
    """Return Pillow's name for the supported format that `data` starts like.

    Raises:
        EmptyBodyError: there are no bytes.
        UnsupportedMediaTypeError: it is a known format that is not supported.
        UndecodableImageError: it is not a known format.
    """
    head = bytes(data[:32])
    if not head:
        raise EmptyBodyError(f"the image is empty; send the bytes of an image ({ALLOWED}).")
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _detect_iso_media(head)
    for magic, name in _UNSUPPORTED:
        if head.lstrip().startswith(magic):
            raise _unsupported(name)
    raise UndecodableImageError(
        f"the {len(data)} bytes start with {head[:8].hex(' ')}, which is not a known image format; "
        f"send {ALLOWED}."
    )


def import_plugin(format_name: str) -> None:
    """Import the one Pillow plugin that reads `format_name`."""
    importlib.import_module(_PLUGINS[format_name])


def _detect_iso_media(head: bytes) -> str:
    brand = head[8:12]
    if brand in _AVIF_BRANDS or (brand == b"mif1" and b"avif" in head):
        if features.check("avif"):
            return "AVIF"
        raise _unsupported("AVIF, which the installed Pillow cannot decode")
    raise _unsupported("HEIC" if brand in _HEIC_BRANDS else "a video or another ISO media file")


def _unsupported(name: str) -> UnsupportedMediaTypeError:
    return UnsupportedMediaTypeError(f"this is {name}; send {ALLOWED}.")
