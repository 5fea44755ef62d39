"""Writing a file whole or not at all: under a temporary name in the same folder, then renamed."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".part"
# A name may have 255 bytes, and a letter up to 4.
NAME_LETTERS_KEPT = 40


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it takes the target's name once the block ends without an exception.

    The temporary file is hidden, lies in the target's folder, has a name of its own, so that two writers never share
    one, and is removed when the block raises. Raises OSError.
    """
    name = f".{target.name[:NAME_LETTERS_KEPT]}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    temporary = target.with_name(name)
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(target: Path, content: str | bytes, *, is_durable: bool = False) -> None:
    """Write the file whole or not at all; text as UTF-8. Raises OSError, and the target is as it was.

    With `is_durable` the content is on the disk before the old file goes, so that it survives a power cut.
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        file.write(data)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """Make the target a hard link to the file, or a copy where links cannot be. Raises OSError."""
    try:
        os.link(source, target)
    except OSError:
        # A file system without hard links, or the file at its limit of links.
        with atomic_path(target) as temporary:
            shutil.copy2(source, temporary)
