"""Which files are photos, by their names and first bytes, and which names no one means as photos."""

import os
from pathlib import Path

from handlers.images.magic import HEAD_BYTES, photo_format

# By name: a file called so is meant as a photo, and one that cannot be decoded is broken. JPEG XL and JPEG 2000 are
# not supported, but they are somebody's photos, so they are reported rather than passed by.
PHOTO_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif",
        ".tiff", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl", ".jp2", ".j2k", ".jpx",
    }
)  # fmt: skip
# Not photos although they begin like a TIFF or a JPEG: raw files beside their JPEGs, overviews of maps, a video's
# thumbnail, copies that exiftool and editors keep (a name with ~ at its end, too), and downloads that have not ended.
OTHER_SUFFIXES = frozenset(
    {
        ".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dcs", ".dng", ".drf", ".erf", ".fff",
        ".gpr", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".ptx", ".raf", ".raw",
        ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f", ".ovr", ".thm", ".jpg_original", ".jpeg_original", ".bak",
        ".orig", ".part", ".partial", ".crdownload", ".download", ".tmp",
    }
)  # fmt: skip
# Thumbnails and waste that Macs, Windows and network drives keep beside the photos. Names with a leading dot are
# skipped as well: .DS_Store, AppleDouble's ._x.jpg, .ipynb_checkpoints.
JUNK_FOLDERS = frozenset(
    {
        "__macosx", "__pycache__", "@eadir", "#recycle", "@recycle", "@recently-snapshot", "#snapshot", "$recycle.bin",
        "system volume information", "lost+found",
    }
)  # fmt: skip


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is never read."""
    return name.startswith(".") or name.lower() in JUNK_FOLDERS


def is_photo(path: Path) -> bool:
    """Return whether the file's name or its first bytes say that it is a photo; whole or broken."""
    suffix = _suffix(path.name)
    if suffix in PHOTO_SUFFIXES or suffix in OTHER_SUFFIXES:
        return suffix in PHOTO_SUFFIXES
    return not suffix.endswith("~") and _has_photo_bytes(path)


def has_photo_name(path: Path) -> bool:
    """Return whether the name alone says that it is a photo."""
    return _suffix(path.name) in PHOTO_SUFFIXES


def ending(name: str) -> str:
    """Return what files that are passed by are counted under: the suffix in lower case, or the name without one.

    Hidden files are one kind, except those that iCloud leaves in place of photos it has taken away.
    """
    if is_hidden(name):
        return ".icloud, not downloaded" if _suffix(name) == ".icloud" else "hidden"
    return os.fsencode(_suffix(name) or name).decode(errors="backslashreplace")


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _has_photo_bytes(path: Path) -> bool:
    try:
        # A pipe would be waited for.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    name = photo_format(head)
    # Text may begin with BM; a bitmap goes on with the size of its second header.
    return name is not None and (name != "BMP" or head[14:18] in _BMP_HEADER_SIZES)


_BMP_HEADER_SIZES = {size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124)}
