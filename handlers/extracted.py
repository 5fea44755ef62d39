"""An archive as TorchServe extracted it: a folder with a model card and what the card describes."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handlers.errors import ModelCardError, ProbeError
from handlers.model_card import FILE_NAME, ArchivePrecision, ModelCard

WEIGHTS_FILE = "weights.safetensors"
ONNX_FILE = "model.onnx"
# The same network for MNN, in an archive for whose network that was the faster engine.
MNN_FILE = "model.mnn"
# Of each engine that is faster than PyTorch on a CPU, fastest first: its file in the archive and its library.
ENGINE_FILES = {"mnn": (MNN_FILE, "MNN"), "onnx": (ONNX_FILE, "onnxruntime")}
PROBES_FILE = "probes/probes.json"
# What weights.safetensors answers, in an archive whose model.onnx is quantised and answers a little else.
FLOAT32_PROBES_FILE = "probes/float32.json"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A photo and the `(K,) float32` probabilities that training computed for it."""

    file: str
    data: bytes
    probabilities: np.ndarray


@dataclass(frozen=True, kw_only=True)
class ProbeSet:
    probes: tuple[Probe, ...]
    tolerance: float
    """Largest difference of one probability that a probe may show."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    folder: Path
    card: ModelCard
    probes: ProbeSet
    """Of model.onnx."""
    float32_probes: ProbeSet
    """Of weights.safetensors; the same unless model.onnx is quantised."""

    def probes_of(self, precision: ArchivePrecision) -> ProbeSet:
        """Return what an engine that computes in this precision must answer."""
        return self.float32_probes if precision == "float32" else self.probes

    @property
    def onnx_path(self) -> Path:
        return self.folder / ONNX_FILE

    @property
    def mnn_path(self) -> Path:
        return self.folder / MNN_FILE

    @property
    def weights_path(self) -> Path:
        return self.folder / WEIGHTS_FILE


def open_archive(folder: Path) -> Archive:
    """Return what lies in the extracted archive.

    Raises:
        ModelCardError: the card is missing or wrong.
        ProbeError: the probes are missing or wrong.
    """
    try:
        text = (folder / FILE_NAME).read_bytes()
    except OSError:
        raise ModelCardError(f"the archive has no {FILE_NAME}. Export it again.") from None
    card = ModelCard.from_json(text)
    probes = float32_probes = _read_probes(folder, PROBES_FILE, class_count=card.class_count)
    if card.precision != "float32":
        float32_probes = _read_probes(folder, FLOAT32_PROBES_FILE, class_count=card.class_count)
    return Archive(folder=folder, card=card, probes=probes, float32_probes=float32_probes)


def _read_probes(folder: Path, file: str, *, class_count: int) -> ProbeSet:
    path = folder / file
    try:
        values = json.loads(path.read_bytes())
        tolerance = float(values["tolerance"])
        probes = tuple(_read_probe(path.parent, entry, class_count) for entry in values["probes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProbeError(
            f"{file} cannot be read: {error!r:.200}. Export the archive again."
        ) from None
    if not probes or not 0 < tolerance < 1 or not math.isfinite(tolerance):
        raise ProbeError(
            f"{file} has {len(probes)} probes and the tolerance {tolerance}; "
            "it must have one or more and a tolerance between 0 and 1."
        )
    return ProbeSet(probes=probes, tolerance=tolerance)


def _read_probe(folder: Path, entry: Any, class_count: int) -> Probe:
    name = entry["file"]
    if Path(name).name != name:
        raise ValueError(f"{name!r} is not a plain file name")
    probabilities = np.asarray(entry["probabilities"], dtype=np.float32)
    if probabilities.shape != (class_count,) or not np.isfinite(probabilities).all():
        raise ValueError(f"{name} needs {class_count} finite probabilities")
    return Probe(file=name, data=(folder / name).read_bytes(), probabilities=probabilities)
