"""From the bytes of photos to probabilities: a loader and an engine, chosen for the device."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from handlers.api.answers import Outcome, check_row
from handlers.engines.cpu_engines import Engine, choose_cpu_engine
from handlers.errors import InternalError, RequestRejectedError
from handlers.extracted import ExtractedArchive
from handlers.images import decoding
from handlers.images.loaders import CpuLoader, DecodeBudget, Loader, PassTiming, Photo, Timings
from handlers.model_card import ArchivePrecision
from handlers.settings import HandlerSettings

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Pixels = TypeVar("Pixels")


class Pipeline(Generic[Pixels]):
    def __init__(
        self, loader: Loader[Pixels], engine: Engine[Pixels], settings: HandlerSettings
    ) -> None:
        self._loader = loader
        self._engine = engine
        self._settings = settings

    @property
    def name(self) -> str:
        """Decoder and engine, for the log and the model card."""
        return f"{self._loader.name} and {self._engine.name}"

    @property
    def precision(self) -> ArchivePrecision:
        """Whose answers these are: model.onnx's, or those of the float32 weights."""
        return self._engine.precision

    def classify(self, photos: Sequence[Photo], timings: Timings) -> list[Outcome]:
        """Return each photo's `(K,) float32` probabilities, or why it has none."""
        budget = DecodeBudget(self._settings.decode_budget_s)
        outcomes: list[Outcome] = []
        step = self._settings.largest_batch
        for start in range(0, len(photos), step):
            loaded = self._loader.load(photos[start : start + step], timings, budget)
            good = [pixels for pixels in loaded if not isinstance(pixels, RequestRejectedError)]
            rows = iter(self._infer(good, timings))
            outcomes += [
                pixels if isinstance(pixels, RequestRejectedError) else next(rows)
                for pixels in loaded
            ]
        return outcomes

    def _infer(self, batch: list[Pixels], timings: Timings) -> list[Outcome]:
        if not batch:
            return []
        started = time.perf_counter()
        try:
            rows = self._engine.probabilities(batch)
        except Exception:
            # Each engine has exceptions of its own; the photos refused in this batch keep their
            # reasons.
            logger.exception("%s could not compute %d images.", self._engine.name, len(batch))
            return [
                InternalError(
                    "the network failed on this image's batch; the server's log says how."
                )
            ] * len(batch)
        timings.passes.append(PassTiming(len(batch), time.perf_counter() - started))
        return [check_row(row) for row in rows]


def choose_pipeline(
    archive: ExtractedArchive, settings: HandlerSettings, *, gpu_id: int | None
) -> Pipeline[Any]:
    """Return the fastest pipeline this host can run; the log names what would make it faster."""
    if gpu_id is not None:
        import torch

        if torch.cuda.is_available():
            return make_cuda_pipeline(archive, settings, device=torch.device("cuda", gpu_id))
        logger.warning("TorchServe assigned GPU %d, but PyTorch sees none: on the CPU.", gpu_id)
    if decoding.simplejpeg is None:
        logger.warning("simplejpeg is not installed here: Pillow decodes JPEGs, slower.")
    loader = CpuLoader(archive.card.preprocessing, settings)
    return Pipeline(loader, choose_cpu_engine(archive, settings), settings)


def make_cuda_pipeline(
    archive: ExtractedArchive, settings: HandlerSettings, *, device: "torch.device"
) -> Pipeline[Any]:
    """Return decoding, resampling and network on one GPU; a CPU as the device computes the same."""
    from handlers.engines.cuda_engine import CudaEngine
    from handlers.engines.cuda_loader import CudaLoader

    loader = CudaLoader(archive.card.preprocessing, settings, device=device)
    engine = CudaEngine(
        archive,
        device=device,
        largest_batch=settings.largest_batch,
        precision=settings.precision,
    )
    return Pipeline(loader, engine, settings)
