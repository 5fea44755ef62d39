"""Which engine serves an archive on a CPU: the fastest whose file it holds and whose library is installed."""

import importlib.util
import logging

import numpy as np

from handlers.contract import ENGINE_FILES, MNN_FILE
from handlers.engines.engine import Engine
from handlers.engines.mnn_engine import MnnEngine
from handlers.engines.onnx_engine import OnnxEngine
from handlers.errors import HandlerSettingsError
from handlers.extracted import ExtractedArchive
from handlers.settings import HandlerSettings

logger = logging.getLogger(__name__)


def choose_cpu_engine(archive: ExtractedArchive, settings: HandlerSettings) -> Engine[np.ndarray]:
    """Return the configured engine; with auto, the fastest that the archive has a file for and that loads here.

    Raises:
        HandlerSettingsError: the configured engine cannot serve the archive here.
        WeightsError, ArchitectureError: as `load_network`, if PyTorch is to serve it.
    """
    threads = settings.thread_count
    if settings.engine == "auto":
        return _choose_fastest(archive, threads)
    if settings.engine == "eager":
        return _eager(archive, threads)
    try:
        return _load(settings.engine, archive, threads)
    except _UnavailableError as error:
        raise HandlerSettingsError(
            f"handler.engine is {settings.engine!r}, but {error}. Set it to 'auto' to serve with another engine."
        ) from None


def _choose_fastest(archive: ExtractedArchive, thread_count: int) -> Engine[np.ndarray]:
    for name, fallback in (("mnn", "ONNX Runtime"), ("onnx", "PyTorch")):
        # Most archives hold no model.mnn, because their network gains nothing by MNN: nothing to warn about.
        if name == "mnn" and not (archive.folder / MNN_FILE).is_file():
            continue
        try:
            return _load(name, archive, thread_count)
        except _UnavailableError as error:
            logger.warning("%s: %s serves instead, slower.", error, fallback)
    return _eager(archive, thread_count)


def _eager(archive: ExtractedArchive, thread_count: int) -> Engine[np.ndarray]:
    # PyTorch makes a process 540 MB resident; most have an engine that does without.
    from handlers.engines.eager_engine import EagerEngine

    return EagerEngine(archive, thread_count=thread_count)


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
            has_features = archive.has_unknown_score
            return MnnEngine(path, thread_count=thread_count, has_features=has_features)
        return OnnxEngine(path, thread_count=thread_count, precision=archive.card.precision)
    except Exception as error:
        # onnxruntime has an exception for each of its status codes, with no common base but Exception.
        reason = " ".join(str(error).split())[:300]
        raise _UnavailableError(f"{library} cannot load {file}: {reason}") from None
