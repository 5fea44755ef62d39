"""An archive seen from outside: who it says it is, its probes, its sha256. Read as data, never run."""

import hashlib
import json
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from serving.errors import ArchiveError

CHUNK_BYTES = 1 << 20
PROBES = "probes/probes.json"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A photo and the probabilities training computed for it."""

    data: bytes
    probabilities: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Archive:
    path: Path
    name: str
    version: str
    class_names: tuple[str, ...]
    tolerance: float
    probes: tuple[Probe, ...]
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the name it has in a model store."""
        return f"{self.name}-{self.version}.mar"


def read_archive(path: Path) -> Archive:
    """Return what the archive says of itself.

    Raises:
        ArchiveError: no file, no zip, paths that lead out of it, or not made by `headswap export`.
    """
    if not path.is_file():
        raise ArchiveError(f"there is no archive {str(path)!r}; `headswap export` makes one.")
    try:
        with zipfile.ZipFile(path) as packed:
            for member in packed.infolist():
                _refuse_escape(path, member)
            return _read(path, packed)
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        NotImplementedError,
        EOFError,
    ) as error:
        raise ArchiveError(
            f"{path} is no archive of headswap: {' '.join(str(error).split())[:200]}. Export it again."
        ) from None


def _read(path: Path, packed: zipfile.ZipFile) -> Archive:
    manifest = json.loads(packed.read("MAR-INF/MANIFEST.json"))["model"]
    card = json.loads(packed.read("model_card.json"))
    if (manifest["modelName"], manifest["modelVersion"]) != (card["name"], card["version"]):
        raise ValueError("its manifest and its model card name different models")
    if manifest["handler"] != "entry.py":
        raise ValueError(f"its handler is {manifest['handler']!r}, not ours")
    probes = json.loads(packed.read(PROBES))
    return Archive(
        path=path,
        name=str(card["name"]),
        version=str(card["version"]),
        class_names=tuple(card["class_names"]),
        tolerance=float(probes["tolerance"]),
        probes=tuple(
            Probe(
                data=packed.read(f"probes/{probe['file']}"),
                probabilities=tuple(probe["probabilities"]),
            )
            for probe in probes["probes"]
        ),
        sha256=sha256_of(path),
    )


def _refuse_escape(path: Path, member: zipfile.ZipInfo) -> None:
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(member.external_attr >> 16):
        raise ArchiveError(
            f"{path} holds {member.filename!r}, which leads out of the archive; it is refused."
        )


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
