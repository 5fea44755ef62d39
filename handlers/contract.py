"""The archive format: file names, keys and readers, shared by all that write, read or serve an archive.

Standard library only, as all of the handlers that `serving` imports, which must work without torch and numpy. The
readers take `read(name) -> bytes`, so that they work on a zip as well as on the folder that TorchServe extracted it to.
Exceptions of `read` itself pass through them.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

MANIFEST_FOLDER = "MAR-INF"
MANIFEST_FILE = f"{MANIFEST_FOLDER}/MANIFEST.json"
MODEL_CARD_FILE = "model_card.json"
MODEL_CONFIG_FILE = "model-config.yaml"
# The file that TorchServe imports, and the package that it imports in turn.
ENTRY_FILE = "entry.py"
HANDLER_PACKAGE = "handlers"

WEIGHTS_FILE = "weights.safetensors"
ONNX_FILE = "model.onnx"
# Only in an archive whose network MNN computes faster than ONNX Runtime does.
MNN_FILE = "model.mnn"
# Of each engine that is faster than PyTorch on a CPU, fastest first: its file in the archive and its library.
ENGINE_FILES = {"mnn": (MNN_FILE, "MNN"), "onnx": (ONNX_FILE, "onnxruntime")}
# The tensors of model.onnx and model.mnn: (B, S, S, 3) uint8 in, (B, K) float32 out.
ONNX_INPUT = "pixels"
ONNX_OUTPUT = "probabilities"
# (B, D) float32, the inputs of the network's last layer: what the unknown score is computed from.
FEATURES_OUTPUT = "features"
# What the unknown score compares features with; archives of earlier versions have none.
UNKNOWN_FILE = "unknown.safetensors"
# In an archive whose model.onnx is quantised: the tensor of that file with the scale of int8's scores, which are other
# than float32's, of which `scale` is.
UNKNOWN_SCALE, UNKNOWN_SCALE_INT8 = "scale", "scale_int8"
# Largest difference of a probe's unknown score. 1 is the distance from a typical photo to the threshold: an engine or
# decoder that moves scores by almost a third of it would change outcomes.
UNKNOWN_TOLERANCE = 0.3

PROBES_FOLDER = "probes"
# Photos and the probabilities of model.onnx for them.
PROBES_FILE = f"{PROBES_FOLDER}/probes.json"
# The probabilities of weights.safetensors; only in an archive whose model.onnx is quantised.
FLOAT32_PROBES_FILE = f"{PROBES_FOLDER}/float32.json"

# Keys of the manifest's `model` whose values name files that TorchServe opens or passes to pip.
MANIFEST_FILE_KEYS = ("handler", "configFile", "requirementsFile", "modelFile", "serializedFile")

# A version about to be unloaded finds this file in the folder it was extracted to, with one of the two reasons as its
# content. A worker that sees it rejects its batch with that code and writes the acknowledgement.
DRAIN_MARKER_FILE = "retiring"
VERSION_RETIRED = "version_retired"
SERVER_STOPPING = "server_stopping"

ReadFile = Callable[[str], bytes]


class ArchiveFormatError(ValueError):
    """A file of the archive violates the format. The message names the file and has no full stop."""


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """Which model and version an archive holds, and the classes in the order of the network's outputs."""

    name: str
    version: str
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A photo, and the K probabilities that training computed for it."""

    file: str
    data: bytes
    probabilities: tuple[float, ...]
    unknown_score: float | None = None
    """Its unknown score; None in an archive without one."""


@dataclass(frozen=True, kw_only=True)
class ProbeSet:
    probes: tuple[Probe, ...]
    tolerance: float
    """The largest difference of a probability that a probe may show, above 0 and below 1."""


def archive_file_name(name: str, version: str) -> str:
    """Return the archive's file name in a model store."""
    return f"{name}-{version}.mar"


def drain_ack_file(worker_pid: int) -> str:
    """Return the name of the file by which a worker acknowledges the drain marker."""
    return f"{DRAIN_MARKER_FILE}.{worker_pid}"


def read_manifest(read: ReadFile) -> dict[str, Any]:
    """Return TorchServe's manifest, an object whose `model` has at least a name, a version and a handler.

    Raises:
        ArchiveFormatError: one of these is missing, or a file it names lies outside the archive.
    """
    manifest = _read_object(read, MANIFEST_FILE)
    model = manifest.get("model")
    if not isinstance(model, dict):
        raise ArchiveFormatError(f"{MANIFEST_FILE}: model must be an object")
    for key in ("modelName", "modelVersion", "handler"):
        if not isinstance(model.get(key), str) or not model[key]:
            raise ArchiveFormatError(f"{MANIFEST_FILE}: model.{key} must be a text")
    for key in MANIFEST_FILE_KEYS:
        # TorchServe also takes `entry.py:function` for a handler.
        if key in model and not is_inside(str(model[key]).partition(":")[0]):
            raise ArchiveFormatError(
                f"{MANIFEST_FILE} names a file outside the archive: {key} is {model[key]!r:.200}"
            )
    return manifest


def read_identity(read: ReadFile) -> ModelIdentity:
    """Return the model, version and classes of the model card, which must agree with the manifest.

    Raises:
        ArchiveFormatError: a value is missing or of the wrong type, the two disagree, or name and version cannot be
        part of a file name.
    """
    model, card = read_manifest(read)["model"], _read_object(read, MODEL_CARD_FILE)
    name, version = _text(card, "name"), _text(card, "version")
    if (model["modelName"], model["modelVersion"]) != (name, version):
        raise ArchiveFormatError(f"{MANIFEST_FILE} and {MODEL_CARD_FILE} name different models")
    if not is_plain_name(archive_file_name(name, version)):
        raise ArchiveFormatError(
            f"{MODEL_CARD_FILE}: {name!r} and {version!r} cannot be part of a file name"
        )
    return ModelIdentity(
        name=name, version=version, class_names=parse_class_names(card.get("class_names"))
    )


def parse_class_names(values: object) -> tuple[str, ...]:
    """Return the class names of a model card.

    Raises:
        ArchiveFormatError: they are not a list of different texts, at least one.
    """
    names = tuple(values) if isinstance(values, (list, tuple)) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ArchiveFormatError(
            f"{MODEL_CARD_FILE}: class_names must be a list of one name or more, not {values!r:.200}"
        )
    if len(set(names)) != len(names):
        raise ArchiveFormatError(
            f"{MODEL_CARD_FILE}: class_names must differ from each other: {values!r:.200}"
        )
    return names


def read_probes(read: ReadFile, file: str, *, class_count: int) -> ProbeSet:
    """Return the probes that PROBES_FILE or FLOAT32_PROBES_FILE lists, with their photos.

    Raises:
        ArchiveFormatError: it lists no probes, or a value is missing, of the wrong type or out of range.
    """
    content = _read_object(read, file)
    entries, tolerance = content.get("probes"), _number(content.get("tolerance"))
    if not isinstance(entries, list) or not entries:
        raise ArchiveFormatError(f"{file} lists no probes; it must list one or more")
    if not 0 < tolerance < 1:
        raise ArchiveFormatError(f"{file}: tolerance must be between 0 and 1, not {tolerance}")
    probes = tuple(_read_probe(read, file, entry, class_count) for entry in entries)
    return ProbeSet(probes=probes, tolerance=tolerance)


def is_inside(name: str) -> bool:
    """Return whether a file name in an archive stays in the folder it is unpacked to, on every system."""
    if not name or "\\" in name or "\0" in name or ":" in name.split("/")[0]:
        return False
    return not PurePosixPath(name).is_absolute() and ".." not in name.split("/")


def is_plain_name(name: str) -> bool:
    """Return whether the name is a file name without a folder."""
    return is_inside(name) and "/" not in name and name != "."


def _read_probe(read: ReadFile, file: str, entry: object, class_count: int) -> Probe:
    if not isinstance(entry, dict):
        raise ArchiveFormatError(f"{file}: a probe must be an object, not {entry!r:.200}")
    name, values = entry.get("file"), entry.get("probabilities")
    if not isinstance(name, str) or not is_plain_name(name):
        raise ArchiveFormatError(f"{file}: {name!r:.200} is not a plain file name")
    probabilities = tuple(map(_number, values)) if isinstance(values, list) else ()
    # A NaN would be within every tolerance.
    if len(probabilities) != class_count or not all(map(math.isfinite, probabilities)):
        raise ArchiveFormatError(f"{file}: {name} needs {class_count} finite probabilities")
    score = entry.get("unknown_score")
    if score is not None and not math.isfinite(_number(score)):
        raise ArchiveFormatError(f"{file}: unknown_score of {name} must be a finite number")
    return Probe(
        file=name,
        data=read(f"{PROBES_FOLDER}/{name}"),
        probabilities=probabilities,
        unknown_score=None if score is None else _number(score),
    )


def _read_object(read: ReadFile, file: str) -> dict[str, Any]:
    try:
        content = json.loads(read(file))
    except (ValueError, RecursionError) as error:
        raise ArchiveFormatError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ArchiveFormatError(f"{file} must hold a JSON object, not {type(content).__name__}")
    return content


def _text(card: Mapping[str, Any], key: str) -> str:
    value = card.get(key)
    if not isinstance(value, str) or not value:
        raise ArchiveFormatError(f"{MODEL_CARD_FILE}: {key} must be a text, not {value!r:.200}")
    return value


def _number(value: object) -> float:
    """Return the value as a float, or NaN if it is not a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
