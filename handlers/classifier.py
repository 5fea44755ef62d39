"""A loaded archive that responds to batches of requests, each independently of the others."""

import ctypes
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handlers.api.inputs import read_headers, read_transport
from handlers.api.open_inference import MODEL_QUERY
from handlers.api.request import read_request
from handlers.api.responses import Response, ResponseWriter
from handlers.capture.recorder import Recorder
from handlers.capture.settings import CaptureSettings
from handlers.draining import DrainMarker
from handlers.engines.pipelines import Pipeline, choose_pipeline
from handlers.errors import HandlerSettingsError, RequestRejectedError
from handlers.extracted import ExtractedArchive, open_extracted
from handlers.images.loaders import EncodedPhoto, Timings
from handlers.metric_buffer import MetricBuffer
from handlers.metrics import Metrics
from handlers.model_card import installed_versions
from handlers.probes import replay_probes
from handlers.request_log import RequestLog
from handlers.responder import Pending, Responder, internal_error
from handlers.settings import HandlerSettings

logger = logging.getLogger(__name__)

# Of each kept answer.
CAPTURED_CLASSES = 5


class Classifier:
    def __init__(
        self,
        archive: ExtractedArchive,
        settings: HandlerSettings,
        pipeline: Pipeline[Any],
        metric_cache: Any,
    ) -> None:
        self.archive = archive
        self.pipeline = pipeline
        self._max_images = settings.max_images_per_request
        self._buffer = MetricBuffer()
        self._metrics = Metrics(metric_cache, archive.card, self._buffer)
        self._request_log = RequestLog(archive.card, self._buffer)
        self._writer = ResponseWriter(archive.card)
        self._responder = Responder(archive, settings, self._writer)
        self._drain_marker = DrainMarker(archive.folder, worker_pid=os.getpid())
        self._recorder = _make_recorder(archive, self._metrics)

    def describe(self) -> dict[str, Any]:
        """Return the model card, and with which pipeline and libraries it is served here."""
        return self.archive.card.to_dict() | {
            "served_with": {
                "pipeline": self.pipeline.name,
                "precision": self.pipeline.precision,
                "library_versions": installed_versions(),
            }
        }

    def respond(
        self, items: list[Mapping[str, Any]], raw_headers: list[Mapping[str, Any]]
    ) -> list[Response]:
        """Return one response per item of the batch, in order."""
        started = time.perf_counter()
        batch = [
            Pending(headers=headers, transport=read_transport(headers))
            for headers in map(read_headers, raw_headers, items)
        ]
        if (rejection := self._drain_marker.rejection()) is not None:
            return self._reject_all(rejection, batch)
        for pending, item, raw in zip(batch, items, raw_headers, strict=True):
            self._read(pending, item, raw)
        timings = Timings()
        self._classify(batch, timings)
        responses = [self._responder.respond(pending) for pending in batch]
        self._capture(batch)
        total_s = time.perf_counter() - started
        self._count(batch, timings, total_s=total_s)
        self._log(responses, batch, total_s=total_s)
        return responses

    def _reject_all(self, rejection: RequestRejectedError, batch: list[Pending]) -> list[Response]:
        responses = [self._responder.reject(pending, rejection) for pending in batch]
        self._log(responses, batch, total_s=0.0)
        # This worker may be killed at any moment.
        self._buffer.flush()
        return responses

    def _read(
        self, pending: Pending, item: Mapping[str, Any], raw_headers: Mapping[str, Any]
    ) -> None:
        if MODEL_QUERY in pending.headers:
            return
        try:
            request = read_request(item, raw_headers, pending.headers, max_images=self._max_images)
            request.options.check_deadline()
            self._responder.check_outputs(request)
            pending.request = request
        except RequestRejectedError as error:
            pending.rejection = error
        except Exception:
            pending.rejection = internal_error("reading a request")

    def _classify(self, batch: list[Pending], timings: Timings) -> None:
        """Set the results: the images of all requests go through the network together."""
        photos = [
            EncodedPhoto(image, index)
            for index, pending in enumerate(batch)
            for image in pending.images
            if not isinstance(image, RequestRejectedError)
        ]
        try:
            results = iter(self.pipeline.classify(photos, timings))
        except Exception:
            results = iter([internal_error("classifying a batch")] * len(photos))
        for pending in batch:
            pending.results = [
                image if isinstance(image, RequestRejectedError) else next(results)
                for image in pending.images
            ]

    def _capture(self, batch: list[Pending]) -> None:
        """Offer the photos of the batch to be kept for labelling; no client pays for a fault of that."""
        if self._recorder is None:
            return
        try:
            for pending in batch:
                if pending.request is not None and pending.request.options.allows_capture:
                    for image, result in zip(pending.images, pending.results, strict=True):
                        if not isinstance(image, RequestRejectedError):
                            self._recorder.offer(
                                image, self._writer.describe(result, top_k=CAPTURED_CLASSES)
                            )
        except Exception:
            logger.exception("Unexpected failure while keeping photos.")

    def _count(self, batch: list[Pending], timings: Timings, *, total_s: float) -> None:
        for pending in batch:
            for result in [pending.rejection] if pending.rejection else pending.results:
                self._metrics.write_result(result, transport=pending.transport)
        transports = [pending.transport for pending in batch]
        self._metrics.write_call(timings, transports=transports, total_s=total_s)

    def _log(self, responses: list[Response], batch: list[Pending], *, total_s: float) -> None:
        transports = [pending.transport for pending in batch]
        self._request_log.write(responses, transports=transports, duration_ms=total_s * 1000)


def _make_recorder(archive: ExtractedArchive, metrics: Metrics) -> Recorder | None:
    """Return what keeps photos; None where `headswap serve` was not asked to."""
    try:
        settings = CaptureSettings.from_environment(os.environ)
    except ValueError as error:
        raise HandlerSettingsError(str(error)) from None
    return None if settings is None else Recorder(settings, archive.card, metrics)


def load_classifier(
    folder: Path, *, model_config: Mapping[str, Any] | None, gpu_id: int | None, metric_cache: Any
) -> Classifier:
    """Return the classifier of an extracted archive, its probes replayed and its engine warm.

    Raises:
        HandlerError: the archive or its settings are invalid, or a probe differs by more than the tolerance.
    """
    started = time.perf_counter()
    archive = open_extracted(folder)
    settings = HandlerSettings.from_model_config(model_config)
    pipeline = choose_pipeline(archive, settings, gpu_id=gpu_id)
    if pipeline.precision != archive.card.precision:
        logger.warning(
            "model.onnx is %s, which only ONNX Runtime on a CPU can compute: %s serves the float32 weights "
            "instead, slower on a CPU and with slightly different probabilities.",
            archive.card.precision,
            pipeline.name,
        )
    difference = replay_probes(archive, pipeline)
    return_freed_memory()
    logger.info(
        "%s %s (%s, %d classes) is ready after %.1f s with %s; %d probes agree within %.6f.",
        archive.card.name,
        archive.card.version,
        archive.card.architecture,
        archive.card.class_count,
        time.perf_counter() - started,
        pipeline.name,
        len(archive.probes.probes),
        difference,
    )
    return Classifier(archive, settings, pipeline, metric_cache)


def return_freed_memory() -> None:
    """Return freed memory to the system, which glibc would keep; do nothing with another C library.

    ResNet-18 in ONNX Runtime: 695 MB resident after loading, 600 after this.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return
    trim(0)
