"""An archive seen from outside: who it says it is, its probes, its sha256. Read as data, never run."""

import hashlib
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.archive.zip_check import find_fault, is_inside
from serving.errors import ArchiveError

CHUNK_BYTES = 1 << 20
MANIFEST = "MAR-INF/MANIFEST.json"
CARD = "model_card.json"
PROBES = "probes/probes.json"
# Only where the network is quantised: what hosts answer that cannot compute that, and serve it in float32.
FLOAT32_PROBES = "probes/float32.json"
# What TorchServe opens, or hands to pip, by names that the manifest gives.
FILE_KEYS = ("handler", "configFile", "requirementsFile", "modelFile", "serializedFile")
# Of JSON or of a photo: what a few packed bytes claim to be must not fill the memory.
MEMBER_LIMIT_BYTES = 100_000_000
# What zipfile, zlib and json raise over bytes that somebody or something has changed.
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
class Probe:
    """A photo and the probabilities training computed for it."""

    data: bytes
    probabilities: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ProbeSet:
    probes: tuple[Probe, ...]
    tolerance: float
    """Largest difference of a probability that a probe may show."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    path: Path
    name: str
    version: str
    class_names: tuple[str, ...]
    probe_sets: tuple[ProbeSet, ...]
    """Answers that fit one of them are right: the archive's own first."""
    sha256: str

    @property
    def probes(self) -> tuple[Probe, ...]:
        """Return the archive's own."""
        return self.probe_sets[0].probes

    @property
    def file_name(self) -> str:
        """Return the name it has in a model store."""
        return f"{self.name}-{self.version}.mar"


def read_archive(path: Path) -> Archive:
    """Return what the archive says of itself.

    Raises:
        ArchiveError: no file, no zip, one that does not hold what it lists, names that lead out of it, or not made
        by `headswap export`.
    """
    with open_packed(path) as packed:
        return _read(path, packed)


@contextmanager
def open_packed(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield the archive as a zip that holds what it lists; whatever is wrong with it comes out as one error.

    Raises:
        ArchiveError: no file, no such zip, or contents that are not what they should be.
    """
    if not path.is_file():
        raise ArchiveError(f"there is no archive {str(path)!r}; `headswap export` makes one.")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as packed:
            fault = find_fault(file, packed)
            if fault is not None:
                raise ArchiveError(f"{path} {fault}; it is refused.")
            yield packed
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.") from None
    except DAMAGE as error:
        raise ArchiveError(
            f"{path} is no archive of headswap: {' '.join(str(error).split())[:200]}. Export it again."
        ) from None


def read_copy(path: Path, original: Archive) -> Archive:
    """Return the archive at `path`. Raises ArchiveError where it is not the very file that was read before."""
    copy = read_archive(path)
    if copy.sha256 != original.sha256:
        raise ArchiveError(
            f"{path} is not the archive that was checked: {original.path} changed meanwhile."
        )
    return copy


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def read_manifest(packed: zipfile.ZipFile) -> dict[str, Any]:
    """Return what TorchServe reads first. Raises ValueError where a name in it leads out of the archive."""
    manifest: dict[str, Any] = _json(packed, MANIFEST)
    model = manifest["model"]
    for key in FILE_KEYS:
        # entry.py:function is a handler too.
        if key in model and not is_inside(str(model[key]).partition(":")[0]):
            raise ValueError(f"its manifest's {key} {model[key]!r} leads out of it")
    return manifest


def _read(path: Path, packed: zipfile.ZipFile) -> Archive:
    model, card = read_manifest(packed)["model"], _json(packed, CARD)
    name, version = str(card["name"]), str(card["version"])
    if (model["modelName"], model["modelVersion"]) != (name, version):
        raise ValueError("its manifest and its model card name different models")
    if not is_inside(f"{name}-{version}.mar") or "/" in name + version:
        raise ValueError(f"{name!r} {version!r} can be no file name")
    class_names = tuple(str(one) for one in card["class_names"])
    sets = [one for one in (PROBES, FLOAT32_PROBES) if one == PROBES or one in packed.namelist()]
    return Archive(
        path=path,
        name=name,
        version=version,
        class_names=class_names,
        probe_sets=tuple(_probe_set(packed, one, len(class_names)) for one in sets),
        sha256=sha256_of(path),
    )


def _probe_set(packed: zipfile.ZipFile, name: str, class_count: int) -> ProbeSet:
    told = _json(packed, name)
    probes = tuple(_probe(packed, probe, class_count) for probe in told["probes"])
    tolerance = float(told["tolerance"])
    if not probes or not 0 < tolerance < 1:
        raise ValueError("it has no probes, or a tolerance that is not between 0 and 1")
    return ProbeSet(probes=probes, tolerance=tolerance)


def _probe(packed: zipfile.ZipFile, told: dict[str, Any], class_count: int) -> Probe:
    probabilities = tuple(float(value) for value in told["probabilities"])
    # Nothing differs by more than a NaN.
    if len(probabilities) != class_count or not all(map(math.isfinite, probabilities)):
        raise ValueError(f"the probe {told['file']!r} needs {class_count} finite probabilities")
    return Probe(data=_read_member(packed, f"probes/{told['file']}"), probabilities=probabilities)


def _json(packed: zipfile.ZipFile, name: str) -> Any:
    return json.loads(_read_member(packed, name))


def _read_member(packed: zipfile.ZipFile, name: str) -> bytes:
    size = packed.getinfo(name).file_size
    if size > MEMBER_LIMIT_BYTES:
        raise ValueError(f"its {name} claims {size} bytes; at most {MEMBER_LIMIT_BYTES} make sense")
    return packed.read(name)
