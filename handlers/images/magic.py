"""What a file is by its first bytes, in plain Python: known before Pillow, or anything else, opens it."""

# The first bytes of a DICOM file are any; its name follows them.
HEAD_BYTES = 132

_PHOTOS = (
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

_BRANDS_END = 32
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}

# Unsupported formats that people do send: named in the error, so that they know what to convert.
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"SIMPLE  =", "a FITS file"),
)
# In capitals or not, and after spaces.
_TEXTS = (
    (b"<svg", "SVG"),
    (b"<?xml", "XML or SVG"),
    (b"<!doctype", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<head", "an HTML page"),
    (b'{"', "JSON"),
    (b"version https://git-lfs", "a pointer of Git LFS, in place of the photo that `git lfs pull` fetches"),
)  # fmt: skip


def photo_format(head: bytes) -> str | None:
    """Return Pillow's name for the photo format that the first bytes are of, or HEIC; None for anything else."""
    for magic, name in _PHOTOS:
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _iso_photo_format(head)
    return None


def describe_other(head: bytes) -> str | None:
    """Return what a file is that is not a photo of those formats; None where it is not known either."""
    if head[4:8] == b"ftyp":
        return "a video or another ISO media file"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "an AVI video"
    if head[128:132] == b"DICM":
        return "a DICOM file"
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((name for start, name in _TEXTS if text.startswith(start)), None)


def _iso_photo_format(head: bytes) -> str | None:
    brand = head[8:12]
    if brand in _AVIF_BRANDS or (brand == b"mif1" and b"avif" in head[:_BRANDS_END]):
        return "AVIF"
    return "HEIC" if brand in _HEIC_BRANDS else None
