"""The files of photos: listed, read and decoded once, and those that cannot be named."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from handlers.errors import PhotoError
from handlers.images.decoding import decode_photo
from training.errors import DataError

BAD_FILES_SHARE_ALLOWED = 0.05
# So many files of a kind are told by name; data.json has them all.
NAMED_FILES_MAX = 10
# Small enough that a JPEG is decoded at an eighth of its size, which still reads every byte of it.
CHECK_SIDE_PX = 16


@dataclass(frozen=True, kw_only=True)
class BadFile:
    path: Path
    reason: str


def is_hidden(name: str) -> bool:
    """Say whether a file or folder of this name is passed by."""
    return name.startswith((".", "__MACOSX"))


def list_files(folder: Path) -> Iterator[Path]:
    """Yield the files anywhere under the folder, in order, but the hidden ones."""
    for parent, folder_names, file_names in os.walk(folder):
        folder_names[:] = sorted(name for name in folder_names if not is_hidden(name))
        for name in sorted(file_names):
            if not is_hidden(name):
                yield Path(parent, name)


def check_files(paths: Sequence[Path]) -> list[str | BadFile]:
    """Return each file's sha256, or what is wrong with it, in order; every byte is decoded."""
    # Reading and decoding release the interpreter lock, so threads are enough.
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_sha256_of_photo, paths))


def _sha256_of_photo(path: Path) -> str | BadFile:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        # Neither JSON nor a terminal can tell such a name; shown are the bytes that are no letters.
        shown = Path(os.fsencode(path).decode(errors="backslashreplace"))
        return BadFile(path=shown, reason="its name is not UTF-8")
    try:
        if not path.is_file():
            return BadFile(path=path, reason="not a regular file")
        data = path.read_bytes()
        decode_photo(data, shorter_side_px=CHECK_SIDE_PX)
    except PhotoError as error:
        return BadFile(path=path, reason=str(error))
    except OSError as error:
        return BadFile(path=path, reason=error.strerror or str(error))
    return hashlib.sha256(data).hexdigest()


def refuse_bad_share(bad_files: Sequence[BadFile], *, total: int) -> None:
    """Raise a DataError that names some where more files are broken than are skipped."""
    if len(bad_files) <= BAD_FILES_SHARE_ALLOWED * total:
        return
    named = name_some(f"{bad.path} ({bad.reason})" for bad in bad_files)
    raise DataError(
        f"{len(bad_files)} of {total} files are no photos that can be read: {named}. At most "
        f"{BAD_FILES_SHARE_ALLOWED:.0%} are skipped; move them away or replace them."
    )


def name_some(told: Iterable[str]) -> str:
    """Return the first 10 in one line, and how many more there are."""
    names = list(told)
    more = len(names) - NAMED_FILES_MAX
    return "; ".join(names[:NAMED_FILES_MAX]) + (f"; and {more} more" if more > 0 else "")
