"""An archive that may run here, extracted for worker processes; what a killed command leaves, the next one removes."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.archive.reader import Archive, open_packed, read_archive
from serving.archive.repack import read_model_config
from serving.errors import ArchiveError
from serving.rollout.trust import Trust
from storage.hashing import hash_file

PREFIX = "headswap-archive-"
LOCK_FILE = "in-use.lock"
CONTENT = "archive"


@dataclass(frozen=True, kw_only=True)
class RunnableArchive:
    archive: Archive
    folder: Path
    """Where it is extracted."""
    model_config: dict[str, Any]


@contextmanager
def runnable(path: Path, trust: Trust) -> Iterator[RunnableArchive]:
    """Yield the archive extracted, after the checks that a promotion makes; remove the folder at the end.

    Raises:
        ArchiveError: it cannot be read, its code is not ours, or its signature is missing or wrong.
    """
    archive = trust.accept(read_archive(path))
    with _temporary_folder() as folder:
        with open_packed(path) as packed:
            packed.extractall(folder)
        if hash_file(path) != archive.sha256:
            raise ArchiveError(f"{path} has changed while it was read; start again.")
        yield RunnableArchive(archive=archive, folder=folder, model_config=read_model_config(path))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    _remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        content = Path(folder, CONTENT)
        content.mkdir()
        # Held by this process alone: the kernel lets go of it however the process ends.
        with Path(folder, LOCK_FILE).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield content


def _remove_abandoned() -> None:
    """Remove the folders of this user's processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid != os.getuid():
                continue
            # Without a lock file it is being made.
            with (folder / LOCK_FILE).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
