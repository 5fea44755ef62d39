"""Archives on their way to the nodes: held by one actor on the head node, extracted once on each node that serves them.

Whoever gives an archive to the cluster has checked it (serving/rollout/trust.py); from there on it is known by its
sha256, to which every copy is held.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ray

from cluster.defaults import ARCHIVE_STORE_ACTOR, CHUNK_BYTES, HEAD_NODE, NAMESPACE
from cluster.errors import ArchiveTransferError
from serving.archive.reader import Archive, open_packed
from storage.hashing import SHA256, hash_file

CACHE_VARIABLE = "HEADSWAP_CACHE"
TRANSFER_TIMEOUT_S = 60.0


def cache_folder() -> Path:
    """Return the folder of this node's archives, which only this user can write to: what lies there is run."""
    base = os.environ.get(CACHE_VARIABLE) or os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "headswap" / "archives"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def archive_path(sha256: str) -> Path:
    """Return where a node keeps the archive. Raises ArchiveTransferError for anything but a sha256."""
    if not SHA256.fullmatch(sha256):
        raise ArchiveTransferError(f"an archive is known by its sha256, not by {sha256!r:.80}.")
    return cache_folder() / f"{sha256}.mar"


class ArchiveStore:
    """The actor that holds the archives' files; it restarts with the head node and finds them on its disk."""

    def has(self, sha256: str) -> bool:
        """Return whether the archive is held whole."""
        path = archive_path(sha256)
        return path.is_file() and hash_file(path) == sha256

    def write(self, sha256: str, upload: str, offset: int, chunk: bytes) -> None:
        """Write one chunk of an upload, which has a name of its own: two may run at once."""
        path = self._upload_path(sha256, upload)
        with path.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(chunk)

    def complete(self, sha256: str, upload: str) -> None:
        """Make the upload the archive. Raises ArchiveTransferError if it is not the one it claims to be."""
        path = self._upload_path(sha256, upload)
        if hash_file(path) != sha256:
            path.unlink()
            raise ArchiveTransferError("the archive changed while it was given to the cluster.")
        os.replace(path, archive_path(sha256))

    def read(self, sha256: str, offset: int) -> bytes:
        """Return the chunk that begins there; b"" at the end."""
        with archive_path(sha256).open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)

    def _upload_path(self, sha256: str, upload: str) -> Path:
        return archive_path(sha256).with_suffix(f".{int(upload, 16):x}.part")


def open_store() -> Any:
    """Return the handle of the store's actor, which is started on the head node if there is none."""
    return (
        ray.remote(ArchiveStore)
        .options(
            name=ARCHIVE_STORE_ACTOR,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            resources=HEAD_NODE,
        )
        .remote()
    )


def give(archive: Archive) -> None:
    """Give the archive's file to the cluster, unless it has it. Raises ArchiveTransferError, ArchiveError."""
    store = open_store()
    if ray.get(store.has.remote(archive.sha256), timeout=TRANSFER_TIMEOUT_S):
        return
    upload = os.urandom(8).hex()
    offset = 0
    with archive.path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            written = store.write.remote(archive.sha256, upload, offset, chunk)
            ray.get(written, timeout=TRANSFER_TIMEOUT_S)
            offset += len(chunk)
    ray.get(store.complete.remote(archive.sha256, upload), timeout=TRANSFER_TIMEOUT_S)


def extracted_folder(sha256: str) -> Path:
    """Return the folder of the extracted archive on this node; fetched and extracted if it is not there yet.

    Raises:
        ArchiveTransferError: the cluster does not have the archive, or it arrived damaged.
    """
    folder = archive_path(sha256).with_suffix("")
    if not folder.is_dir():
        _extract(fetch(sha256), folder)
    return folder


def fetch(sha256: str) -> Path:
    """Return the archive's file in this node's cache, where it is copied to if it is not there yet.

    Raises:
        ArchiveTransferError: the cluster does not have the archive, or it arrived damaged.
    """
    path = archive_path(sha256)
    if path.is_file() and hash_file(path) == sha256:
        return path
    try:
        store = ray.get_actor(ARCHIVE_STORE_ACTOR, namespace=NAMESPACE)
    except ValueError:
        raise ArchiveTransferError(
            "the cluster holds no archives; run headswap cluster serve."
        ) from None
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            while chunk := ray.get(
                store.read.remote(sha256, file.tell()), timeout=TRANSFER_TIMEOUT_S
            ):
                file.write(chunk)
        if hash_file(temporary) != sha256:
            raise ArchiveTransferError(f"the archive {sha256[:12]} arrived damaged on this node.")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _extract(path: Path, folder: Path) -> None:
    """Extract into a folder that has the name only when it is whole; another replica may be doing the same."""
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, suffix=".part"))
    try:
        with open_packed(path) as packed:
            packed.extractall(temporary)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
