"""An archive seen from outside: its name and version, its probes, its sha256. Read as data, never run."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from handlers import contract
from handlers.contract import (
    FLOAT32_PROBES_FILE,
    PROBES_FILE,
    Probe,
    ProbeSet,
    archive_file_name,
    read_identity,
    read_probes,
)
from serving.archive.zip_check import find_fault
from serving.errors import ArchiveError
from storage.hashing import remembered_sha256, sha256_of

# Of a JSON file or a photo: a few compressed bytes must not expand until the memory is full.
MEMBER_LIMIT_BYTES = 100_000_000
# What zipfile, zlib and the format's readers raise for a damaged or manipulated file.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    RecursionError,
    NotImplementedError,
    RuntimeError,
    EOFError,
)


@dataclass(frozen=True, kw_only=True)
class Archive:
    path: Path
    name: str
    version: str
    class_names: tuple[str, ...]
    probe_sets: tuple[ProbeSet, ...]
    """Those of model.onnx, then, if that is quantised, those of the float32 weights: a server must match one set."""
    sha256: str

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The probes of model.onnx."""
        return self.probe_sets[0].probes

    @property
    def file_name(self) -> str:
        """Its name in a model store."""
        return archive_file_name(self.name, self.version)


def read_archive(path: Path) -> Archive:
    """Return what the archive says about itself.

    Raises:
        ArchiveError: there is no such file, it is not a zip or not a consistent one, a file name leads out of it, or it
        was not made by `headswap export`.
    """
    return _read(path, sha256_of)


def read_stored(path: Path, *, rehash: bool) -> Archive:
    """Return what an archive of the model store says about itself.

    With `rehash` this process computes its sha256; without, that of an earlier process counts as long as the file has
    not changed since (storage/hashing.py). Raises ArchiveError as `read_archive` does.
    """
    return _read(path, partial(sha256_of, remember=True) if rehash else remembered_sha256)


@contextmanager
def open_packed(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield the archive as a consistent zip; whatever the block raises about its contents becomes an ArchiveError.

    Raises:
        ArchiveError: there is no such file, it is not a consistent zip, or its contents are not those of an archive.
    """
    if not path.is_file():
        raise ArchiveError(f"there is no archive {str(path)!r}; `headswap export` makes one.")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as packed:
            fault = find_fault(file, packed)
            if fault is not None:
                raise ArchiveError(f"{path} is refused: it {fault}.")
            yield packed
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.") from None
    except DAMAGE as error:
        raise ArchiveError(
            f"{path} is not a headswap archive: {' '.join(str(error).split())[:200]}. Export it again."
        ) from None


def read_copy(path: Path, original: Archive) -> Archive:
    """Return the archive at `path`. Raises ArchiveError if it is not an exact copy of `original` as that was read."""
    copy = read_stored(path, rehash=True)
    if copy.sha256 != original.sha256:
        raise ArchiveError(
            f"{path} is not the archive that was checked: {original.path} has changed since."
        )
    return copy


def read_manifest(packed: zipfile.ZipFile) -> dict[str, Any]:
    """Return TorchServe's manifest. Raises ArchiveFormatError as `handlers.contract.read_manifest` does."""
    return contract.read_manifest(partial(_read_member, packed))


def _read(path: Path, sha256: Callable[[Path], str]) -> Archive:
    with open_packed(path) as packed:
        read = partial(_read_member, packed)
        identity = read_identity(read)
        class_count = len(identity.class_names)
        files = [PROBES_FILE]
        if FLOAT32_PROBES_FILE in packed.namelist():
            files.append(FLOAT32_PROBES_FILE)
        return Archive(
            path=path,
            name=identity.name,
            version=identity.version,
            class_names=identity.class_names,
            probe_sets=tuple(read_probes(read, file, class_count=class_count) for file in files),
            sha256=sha256(path),
        )


def _read_member(packed: zipfile.ZipFile, name: str) -> bytes:
    size = packed.getinfo(name).file_size
    if size > MEMBER_LIMIT_BYTES:
        raise ValueError(
            f"{name} claims to have {size} bytes; at most {MEMBER_LIMIT_BYTES} are allowed"
        )
    return packed.read(name)
