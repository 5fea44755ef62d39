"""From the bytes of photos to probabilities: a loader and an engine for the device at hand."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from handlers.answer import ImageResult, make_answer
from handlers.engines.cpu_choice import choose_cpu_engine
from handlers.engines.engine import Engine, Outputs
from handlers.engines.unknown import UnknownScorer, read_scorer
from handlers.errors import InternalError, RequestRejectedError
from handlers.extracted import ExtractedArchive
from handlers.images import jpeg
from handlers.images.loaders import (
    CpuLoader,
    DecodeBudget,
    EncodedPhoto,
    Loader,
    PassTiming,
    Timings,
)
from handlers.model_card import ArchivePrecision
from handlers.settings import HandlerSettings

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Pixels = TypeVar("Pixels")


class Pipeline(Generic[Pixels]):
    def __init__(
        self,
        loader: Loader[Pixels],
        engine: Engine[Pixels],
        settings: HandlerSettings,
        scorer: UnknownScorer | None = None,
    ) -> None:
        self._loader = loader
        self._engine = engine
        self._settings = settings
        self._scorer = scorer

    @property
    def name(self) -> str:
        """Decoder and engine, for the log and for DescribeModel."""
        return f"{self._loader.name} and {self._engine.name}"

    @property
    def precision(self) -> ArchivePrecision:
        """That of model.onnx if the engine computes it, else float32: whose probes it must match."""
        return self._engine.precision

    def classify(self, photos: Sequence[EncodedPhoto], timings: Timings) -> list[ImageResult]:
        """Return each photo's answer, or the error that explains why it has none."""
        budget = DecodeBudget(self._settings.decode_budget_s)
        results: list[ImageResult] = []
        step = self._settings.largest_batch
        for start in range(0, len(photos), step):
            loaded = self._loader.load(photos[start : start + step], timings, budget)
            valid = [pixels for pixels in loaded if not isinstance(pixels, RequestRejectedError)]
            rows = iter(self._infer(valid, timings))
            results += [
                pixels if isinstance(pixels, RequestRejectedError) else next(rows)
                for pixels in loaded
            ]
        return results

    def _infer(self, batch: list[Pixels], timings: Timings) -> list[ImageResult]:
        if not batch:
            return []
        started = time.perf_counter()
        try:
            outputs = self._engine.outputs(batch)
        except Exception:
            # Each engine has exceptions of its own. The photos that were rejected keep their own errors.
            logger.exception("%s could not compute %d images.", self._engine.name, len(batch))
            return [
                InternalError(
                    "the network failed on this image's batch; the server's log has the details."
                )
            ] * len(batch)
        timings.passes.append(PassTiming(len(batch), time.perf_counter() - started))
        return self._answers(outputs)

    def _answers(self, outputs: Outputs) -> list[ImageResult]:
        scores: list[float | None] = [None] * len(outputs.probabilities)
        if self._scorer is not None and outputs.features is not None:
            scores = self._scorer.scores(outputs.features).tolist()
        return [
            make_answer(row, score, min_probability=self._settings.min_probability)
            for row, score in zip(outputs.probabilities, scores, strict=True)
        ]


def choose_pipeline(
    archive: ExtractedArchive, settings: HandlerSettings, *, gpu_id: int | None
) -> Pipeline[Any]:
    """Return the fastest pipeline this host can run; the log says what would make it faster."""
    if gpu_id is not None:
        import torch

        if torch.cuda.is_available():
            return make_cuda_pipeline(archive, settings, device=torch.device("cuda", gpu_id))
        logger.warning(
            "TorchServe assigned GPU %d, but PyTorch finds none: the CPU serves.", gpu_id
        )
    if jpeg.simplejpeg is None:
        logger.warning("simplejpeg is not installed here: Pillow decodes JPEGs instead, slower.")
    loader = CpuLoader(archive.card.preprocessing, settings.limits)
    engine = choose_cpu_engine(archive, settings)
    scorer = _load_scorer(archive, settings, engine.precision)
    return Pipeline(loader, engine, settings, scorer)


def make_cuda_pipeline(
    archive: ExtractedArchive, settings: HandlerSettings, *, device: "torch.device"
) -> Pipeline[Any]:
    """Return the pipeline that decodes, resamples and computes on one GPU; the device may be a CPU in tests."""
    from handlers.engines.cuda_engine import CudaEngine
    from handlers.engines.cuda_loader import CudaLoader

    loader = CudaLoader(archive.card.preprocessing, settings.limits, device=device)
    engine = CudaEngine(
        archive,
        device=device,
        largest_batch=settings.largest_batch,
        precision=settings.precision,
    )
    scorer = _load_scorer(archive, settings, engine.precision)
    return Pipeline(loader, engine, settings, scorer)


def _load_scorer(
    archive: ExtractedArchive, settings: HandlerSettings, precision: ArchivePrecision
) -> UnknownScorer | None:
    """Return the unknown score, None where the archive has none or the host wants none. Raises WeightsError."""
    if not archive.has_unknown_score or not settings.unknown:
        return None
    sha256 = str(archive.card.unknown.get("sha256", ""))
    return read_scorer(archive.unknown_path, sha256=sha256, precision=precision)
