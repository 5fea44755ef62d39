"""What computes probabilities from pixels on a CPU, and which engine serves an archive.

model.onnx is the whole `Network`: input `pixels` `(B, S, S, 3) uint8`, output `probabilities`
`(B, K) float32`, any B; so is model.mnn. MNN's engine is in mnn_engine.py, the GPU's in cuda_engine.py.
"""

import importlib.util
import logging
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch

from handlers.contract import ENGINE_FILES, ONNX_INPUT, ONNX_OUTPUT
from handlers.engines.network import Network, build_network
from handlers.engines.weights import read_weights
from handlers.errors import SettingsError, WeightsError
from handlers.extracted import ExtractedArchive
from handlers.model_card import ArchivePrecision
from handlers.settings import HandlerSettings

logger = logging.getLogger(__name__)

# Images in one pass. ONNX Runtime never gives back what its largest pass needed: after 32 images
# of ResNet-18 a worker stays at 933 MB, after 4 at 644; a larger pass saves a core no time.
_LARGEST_PASS = 4

Pixels = TypeVar("Pixels", contravariant=True)


class Engine(Protocol[Pixels]):
    @property
    def name(self) -> str:
        """What the log and the metrics call it."""

    @property
    def precision(self) -> ArchivePrecision:
        """float32 where it computes with weights.safetensors, else model.onnx's."""

    def probabilities(self, batch: Sequence[Pixels]) -> np.ndarray:
        """Return `(B, K) float32` for B pictures of `(S, S, 3) uint8`."""


class OnnxEngine:
    name = "ONNX Runtime"

    def __init__(
        self, path: Path, *, thread_count: int, precision: ArchivePrecision = "float32"
    ) -> None:
        import onnxruntime

        self.precision = precision

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count
        options.inter_op_num_threads = 1
        # A thread that spins while it waits takes the core from the neighbouring worker.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # 3: errors only; the optimizer's remarks are of no use to whoever reads the server's log.
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        parts = range(0, len(batch), _LARGEST_PASS)
        return np.concatenate([self._run(batch[start : start + _LARGEST_PASS]) for start in parts])

    def _run(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        rows: np.ndarray = self._session.run([ONNX_OUTPUT], {ONNX_INPUT: np.stack(batch)})[0]
        return rows


class EagerEngine:
    name = "PyTorch"
    precision: ArchivePrecision = "float32"

    def __init__(self, archive: ExtractedArchive, *, thread_count: int) -> None:
        torch.set_num_threads(thread_count)
        self._network = load_network(archive)

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            rows: np.ndarray = self._network(torch.from_numpy(np.stack(batch))).numpy()
        return rows


def choose_cpu_engine(archive: ExtractedArchive, settings: HandlerSettings) -> Engine[np.ndarray]:
    """Return the engine that is wanted; with auto the fastest that the archive is made for and that loads here.

    Raises:
        SettingsError: the one that is wanted cannot serve here.
        WeightsError, ArchitectureError: as `load_network`, where it is PyTorch's turn.
    """
    threads = settings.thread_count
    if settings.engine == "auto":
        return _choose_fastest(archive, threads)
    if settings.engine == "eager":
        return EagerEngine(archive, thread_count=threads)
    try:
        return _load(settings.engine, archive, threads)
    except _UnavailableError as why:
        raise SettingsError(
            f"handler.engine is {settings.engine!r}, but {why}. Set it to 'auto' to serve with another."
        ) from None


def _choose_fastest(archive: ExtractedArchive, thread_count: int) -> Engine[np.ndarray]:
    for name, instead in (("mnn", "ONNX Runtime"), ("onnx", "PyTorch")):
        # An archive goes without where its network gains nothing by MNN.
        if name == "mnn" and not archive.mnn_path.is_file():
            continue
        try:
            return _load(name, archive, thread_count)
        except _UnavailableError as why:
            logger.warning("%s: %s serves instead, slower.", why, instead)
    return EagerEngine(archive, thread_count=thread_count)


def load_network(archive: ExtractedArchive) -> Network:
    """Return the eager network with the archive's weights, float32, ready to be evaluated.

    Raises:
        WeightsError: the file is broken or belongs to another architecture.
        ArchitectureError: torchvision does not have the architecture.
    """
    card = archive.card
    weights = read_weights(archive.weights_path, sha256=card.weights_sha256)
    network = build_network(
        architecture=card.architecture,
        class_count=card.class_count,
        preprocessing=card.preprocessing,
        temperature=card.temperature,
    )
    try:
        network.backbone_and_head.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"the weights do not fit {card.architecture}: {reason}") from None
    return network.eval()


class _UnavailableError(Exception):
    """Why an engine cannot serve an archive here."""


def _load(name: str, archive: ExtractedArchive, thread_count: int) -> Engine[np.ndarray]:
    file, library = ENGINE_FILES[name]
    path = archive.folder / file
    if not path.is_file():
        raise _UnavailableError(f"the archive holds no {file}")
    if importlib.util.find_spec(library) is None:
        raise _UnavailableError(f"{library} is not installed here")
    try:
        if name == "mnn":
            from handlers.engines.mnn_engine import MnnEngine

            return MnnEngine(path, thread_count=thread_count)
        return OnnxEngine(path, thread_count=thread_count, precision=archive.card.precision)
    except Exception as error:
        # onnxruntime has a class for each of its status codes, all of them plain Exceptions.
        reason = " ".join(str(error).split())[:300]
        raise _UnavailableError(f"{library} cannot load {file}: {reason}") from None


def describe_versions() -> dict[str, str | None]:
    """Return which of the libraries that decide pixels and probabilities are here, by version."""
    versions: dict[str, str | None] = {}
    for library in ("torch", "torchvision", "onnxruntime", "MNN", "pillow", "simplejpeg", "numpy"):
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = None
    return versions
