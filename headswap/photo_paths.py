"""Which photos the words of a command line mean."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headswap.errors import ArgumentError

STANDARD_INPUT = "-"
# What a folder is searched for. A file named outright is sent whatever its ending: the server decides.
PHOTO_SUFFIXES = {
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
}


@dataclass(frozen=True, kw_only=True)
class NamedPhoto:
    """A photo and what to call it in the output. Read when it is its turn: a folder may hold thousands."""

    name: str
    path: Path | None

    def read(self) -> bytes:
        """Return the bytes. Raises OSError when the file cannot be read."""
        return sys.stdin.buffer.read() if self.path is None else self.path.read_bytes()


def find_photos(words: Sequence[str]) -> list[NamedPhoto]:
    """Return the photos of files, folders (searched whole, in order) and `-` (standard input).

    Raises:
        ArgumentError: a path that does not exist, a folder without photos, or nothing at all.
    """
    if not words:
        raise ArgumentError("no photo was named; give files, folders, or - for standard input.")
    return [photo for word in words for photo in _expand(word)]


def _expand(word: str) -> Iterator[NamedPhoto]:
    if word == STANDARD_INPUT:
        yield NamedPhoto(name=STANDARD_INPUT, path=None)
        return
    path = Path(word)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
        if not found:
            endings = " ".join(sorted(PHOTO_SUFFIXES))
            raise ArgumentError(
                f"the folder {word!r} holds no photo; the endings looked for are {endings}."
            )
        yield from (NamedPhoto(name=str(p), path=p) for p in found)
    elif path.exists():
        yield NamedPhoto(name=word, path=path)
    else:
        raise ArgumentError(
            f"{word!r} does not exist; give files, folders, or - for standard input."
        )
