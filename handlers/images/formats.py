"""Which image formats are read, told apart by their first bytes, never by name or content type."""

import importlib

from PIL import features

from handlers.errors import EmptyBodyError, UndecodableImageError, UnsupportedMediaTypeError

ALLOWED = "JPEG, PNG, WebP, GIF, BMP, TIFF" + (", AVIF" if features.check("avif") else "")

# Pillow imports every plugin it has when asked for a format it does not know yet; these are all
# we open.
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

# Formats people do send and that are refused by name, so that they know what to convert.
_FOREIGN = (
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


def name_format(data: bytes | bytearray | memoryview) -> str:
    """Return Pillow's name of the allowed format that `data` starts like.

    Raises:
        EmptyBodyError: there are no bytes.
        UnsupportedMediaTypeError: it is something else we know by name.
        UndecodableImageError: it starts like nothing we know.
    """
    head = bytes(data[:32])
    if not head:
        raise EmptyBodyError(f"there are no bytes; send the bytes of an image ({ALLOWED}).")
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _name_iso_media(head)
    for magic, foreign in _FOREIGN:
        if head.lstrip().startswith(magic):
            raise _unsupported(foreign)
    raise UndecodableImageError(
        f"the {len(data)} bytes start with {head[:8].hex(' ')}, which is no image format we know; "
        f"send {ALLOWED}."
    )


def import_plugin(format_name: str) -> None:
    """Register the one Pillow plugin that reads `format_name`."""
    importlib.import_module(_PLUGINS[format_name])


def _name_iso_media(head: bytes) -> str:
    brand = head[8:12]
    if brand in _AVIF_BRANDS or (brand == b"mif1" and b"avif" in head):
        if features.check("avif"):
            return "AVIF"
        raise _unsupported("AVIF, which the installed Pillow cannot decode")
    raise _unsupported("HEIC" if brand in _HEIC_BRANDS else "a video or another ISO media file")


def _unsupported(what: str) -> UnsupportedMediaTypeError:
    return UnsupportedMediaTypeError(f"this is {what}; send {ALLOWED}.")
