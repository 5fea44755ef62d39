"""The photos that arguments of the command line name: files, folders, standard input."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headswap.errors import ArgumentError

STANDARD_INPUT = "-"
# What a folder is searched for. A file given by name is sent whatever its suffix: the server decides.
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
    """A photo and its name in the output. Its bytes are read on demand: a folder may hold thousands of photos."""

    name: str
    path: Path | None
    """None for standard input."""

    def read(self) -> bytes:
        """Return the file's bytes. Raises OSError when it cannot be read."""
        return sys.stdin.buffer.read() if self.path is None else self.path.read_bytes()


def find_photos(arguments: Sequence[str]) -> list[NamedPhoto]:
    """Return the photos of files, folders (searched recursively, in sorted order) and `-` (standard input).

    Raises:
        ArgumentError: there is no argument, a path does not exist, or a folder has no photos.
    """
    if not arguments:
        raise ArgumentError("no photos given; name files, folders, or - for standard input.")
    return [photo for argument in arguments for photo in _expand(argument)]


def _expand(argument: str) -> Iterator[NamedPhoto]:
    if argument == STANDARD_INPUT:
        yield NamedPhoto(name=STANDARD_INPUT, path=None)
        return
    path = Path(argument)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PHOTO_SUFFIXES)
        if not files:
            suffixes = ", ".join(sorted(PHOTO_SUFFIXES))
            raise ArgumentError(
                f"the folder {argument!r} has no photos; files with these suffixes count: {suffixes}."
            )
        yield from (NamedPhoto(name=str(file), path=file) for file in files)
    elif path.exists():
        yield NamedPhoto(name=argument, path=path)
    else:
        raise ArgumentError(
            f"{argument!r} does not exist; name files, folders, or - for standard input."
        )
