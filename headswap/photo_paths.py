"""The photos that arguments of the command line name: files, folders, standard input."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headswap.errors import ArgumentError
from headswap.output import print_error
from photo_folder.errors import FolderError
from photo_folder.photos import find_photos as find_files

STANDARD_INPUT = "-"
# A file name may have 255 bytes; a number and a suffix are added.
_STEM_MAX_BYTES = 240


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

    A file given by name is sent whatever it is: the server decides. What a folder holds besides photos is printed.

    Raises:
        ArgumentError: there is no argument, a path does not exist, or a folder has no photos.
    """
    if not arguments:
        raise ArgumentError("no photos given; name files, folders, or - for standard input.")
    return [photo for argument in arguments for photo in _expand(argument)]


def explanation_path(folder: Path, number: int, name: str) -> Path:
    """Return the file in the folder for the explanation of the photo of this number, from 1, and name."""
    # Numbered, because several folders may have photos of the same name.
    stem = os.fsdecode(os.fsencode(Path(name).stem)[:_STEM_MAX_BYTES])
    return folder / f"{number:06}-{stem}.png"


def _expand(argument: str) -> Iterator[NamedPhoto]:
    if argument == STANDARD_INPUT:
        yield NamedPhoto(name=STANDARD_INPUT, path=None)
        return
    path = Path(argument)
    if path.is_dir():
        yield from (NamedPhoto(name=str(file), path=file) for file in _in_folder(path))
    elif path.exists():
        yield NamedPhoto(name=argument, path=path)
    else:
        raise ArgumentError(
            f"{argument!r} does not exist; name files, folders, or - for standard input."
        )


def _in_folder(folder: Path) -> tuple[Path, ...]:
    try:
        files = find_files(folder)
    except FolderError as error:
        raise ArgumentError(str(error)) from None
    for note in files.notes:
        print_error(f"{folder}: {note}")
    return files.paths
