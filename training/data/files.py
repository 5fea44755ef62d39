"""Photo files: read, decoded and hashed once; unreadable ones become `BadFile`."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handlers.errors import PhotoError
from handlers.images.decoding import decode_photo
from handlers.images.limits import DecodeLimits
from training.errors import DataError
from training.threads import file_threads

BAD_FILES_SHARE_ALLOWED = 0.05
# At most this many files of a kind are printed by name; data.json lists all of them.
NAMED_FILES_MAX = 10
# Small enough that a JPEG is decoded at an eighth of its size, which still reads all of its bytes.
CHECK_SIDE_PX = 16


@dataclass(frozen=True, kw_only=True)
class BadFile:
    path: Path
    reason: str


def check_files(
    paths: Sequence[Path], *, limits: DecodeLimits | None = None
) -> list[str | BadFile]:
    """Return for each file, in order, its sha256, or a `BadFile` if it cannot be fully decoded within the limits."""
    # Reading and decoding release the GIL, so threads are enough.
    with file_threads() as pool:
        return list(pool.map(partial(_sha256_of_photo, limits=limits), paths))


def _sha256_of_photo(path: Path, *, limits: DecodeLimits | None) -> str | BadFile:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        # Neither JSON nor a terminal can hold such a name, so the undecodable bytes are escaped.
        escaped = Path(os.fsencode(path).decode(errors="backslashreplace"))
        return BadFile(path=escaped, reason="its name is not UTF-8")
    try:
        if not os.path.isfile(path):
            return BadFile(path=path, reason=_why_no_file(path))
        data = path.read_bytes()
        decode_photo(data, shorter_side_px=CHECK_SIDE_PX, limits=limits)
    except PhotoError as error:
        return BadFile(path=path, reason=str(error))
    except OSError as error:
        return BadFile(path=path, reason=error.strerror or str(error))
    return hashlib.sha256(data).hexdigest()


def _why_no_file(path: Path) -> str:
    if os.path.exists(path):
        return "not a regular file"
    return "a link to a file that does not exist" if path.is_symlink() else "no such file"


def check_bad_share(bad_files: Sequence[BadFile], *, total: int) -> None:
    """Check that few enough of `total` files are bad to skip them.

    Raises:
        DataError: more than 5 % are bad; names the first ones.
    """
    if len(bad_files) <= BAD_FILES_SHARE_ALLOWED * total:
        return
    listed = format_first(f"{bad.path} ({bad.reason})" for bad in bad_files)
    raise DataError(
        f"{len(bad_files)} of {total} files cannot be read as photos: {listed}. At most "
        f"{BAD_FILES_SHARE_ALLOWED:.0%} may be skipped; remove or replace these files."
    )


def format_first(items: Iterable[str]) -> str:
    """Return the first 10 items on one line, and how many more there are."""
    texts = list(items)
    more = len(texts) - NAMED_FILES_MAX
    return "; ".join(texts[:NAMED_FILES_MAX]) + (f"; and {more} more" if more > 0 else "")
