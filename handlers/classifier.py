"""A loaded archive that responds to batches of requests, each independently of the others."""

import ctypes
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.answer import Answer, ImageResult
from handlers.api.inputs import Transport, is_kserve_path, read_headers, read_transport
from handlers.api.open_inference import MODEL_QUERY, TensorRequest, check_outputs
from handlers.api.request import Request, read_request
from handlers.api.responses import (
    Response,
    ResponseWriter,
    echo_headers,
    transport_headers,
)
from handlers.capture.recorder import Recorder
from handlers.capture.settings import CaptureSettings
from handlers.draining import DrainMarker
from handlers.engines.explanation import Explainer
from handlers.engines.pipelines import Pipeline, choose_pipeline
from handlers.errors import (
    HandlerSettingsError,
    InternalError,
    InvalidRequestError,
    InvalidTensorError,
    RequestRejectedError,
)
from handlers.extracted import ExtractedArchive, open_extracted
from handlers.images.loaders import EncodedPhoto, Timings
from handlers.metric_buffer import MetricBuffer
from handlers.metrics import Metrics
from handlers.model_card import installed_versions
from handlers.probes import replay_probes
from handlers.request_log import RequestLog
from handlers.settings import HandlerSettings

logger = logging.getLogger(__name__)

# Of each kept answer.
CAPTURED_CLASSES = 5


@dataclass(kw_only=True)
class _Pending:
    """A request of the batch while it is processed."""

    headers: dict[str, str]
    transport: Transport
    request: Request | None = None
    results: list[ImageResult] | None = None
    rejection: RequestRejectedError | None = None


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
        self._settings = settings
        self._buffer = MetricBuffer()
        self._metrics = Metrics(metric_cache, archive.card, self._buffer)
        self._request_log = RequestLog(archive.card, self._buffer)
        self._has_score = settings.unknown and bool(archive.card.unknown)
        self._has_outcome = self._has_score or settings.min_probability > 0
        self._writer = ResponseWriter(archive.card)
        self._explainer = Explainer(archive, settings)
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
        if (rejection := self._drain_marker.rejection()) is not None:
            return self._reject_all(rejection, items, raw_headers)
        started = time.perf_counter()
        batch = [self._read(item, raw) for item, raw in zip(items, raw_headers, strict=True)]
        timings = Timings()
        self._classify(batch, timings)
        responses = [self._write(pending) for pending in batch]
        self._capture(batch)
        transports = [pending.transport for pending in batch]
        total_s = time.perf_counter() - started
        self._metrics.write_call(timings, transports=transports, total_s=total_s)
        self._request_log.write(responses, transports=transports, duration_ms=total_s * 1000)
        return responses

    def _reject_all(
        self,
        rejection: RequestRejectedError,
        items: list[Mapping[str, Any]],
        raw_headers: list[Mapping[str, Any]],
    ) -> list[Response]:
        batch = [read_headers(raw, item) for raw, item in zip(raw_headers, items, strict=True)]
        transports = [read_transport(headers) for headers in batch]
        responses = [self._writer.rejection(rejection) for _ in batch]
        for response, headers, transport in zip(responses, batch, transports, strict=True):
            response.headers.update(echo_headers(headers) | transport_headers(transport))
        self._request_log.write(responses, transports=transports, duration_ms=0.0)
        # This worker may be killed at any moment.
        self._buffer.flush()
        return responses

    def _read(self, item: Mapping[str, Any], raw_headers: Mapping[str, Any]) -> _Pending:
        headers = read_headers(raw_headers, item)
        pending = _Pending(headers=headers, transport=read_transport(headers))
        if MODEL_QUERY in headers:
            return pending
        try:
            pending.request = read_request(
                item, raw_headers, headers, max_images=self._settings.max_images_per_request
            )
            pending.request.options.check_deadline()
            self._check_outputs(pending.request)
        except RequestRejectedError as error:
            pending.rejection = error
        except Exception:
            pending.rejection = _internal_error("reading a request")
        return pending

    def _check_outputs(self, request: Request) -> None:
        if request.tensors is not None:
            wanted = request.options.wants_outcome
            check_outputs(
                request.tensors,
                has_outcome=wanted and self._has_outcome,
                has_unknown_score=wanted and self._has_score,
            )

    def _classify(self, batch: list[_Pending], timings: Timings) -> None:
        """Set the results: the images of all requests go through the network together."""
        photos: list[EncodedPhoto] = []
        for index, pending in enumerate(batch):
            if pending.request is not None and pending.rejection is None:
                images = pending.request.images
                photos += [
                    EncodedPhoto(image, index)
                    for image in images
                    if not isinstance(image, RequestRejectedError)
                ]
        try:
            results = iter(self.pipeline.classify(photos, timings))
        except Exception:
            results = iter([_internal_error("classifying a batch")] * len(photos))
        for pending in batch:
            if pending.request is not None and pending.rejection is None:
                pending.results = [
                    image if isinstance(image, RequestRejectedError) else next(results)
                    for image in pending.request.images
                ]

    def _capture(self, batch: list[_Pending]) -> None:
        """Offer the photos of the batch to be kept for labelling; no client pays for a fault of that."""
        if self._recorder is None:
            return
        try:
            for request, results in ((pending.request, pending.results) for pending in batch):
                if request is not None and results and request.options.allows_capture:
                    for image, result in zip(request.images, results, strict=True):
                        if not isinstance(image, RequestRejectedError):
                            self._recorder.offer(
                                image, self._writer.describe(result, top_k=CAPTURED_CLASSES)
                            )
        except Exception:
            logger.exception("Unexpected failure while keeping photos.")

    def _write(self, pending: _Pending) -> Response:
        try:
            response = self._write_response(pending)
        except RequestRejectedError as error:
            response = self._writer.rejection(error)
        except Exception:
            response = self._writer.rejection(_internal_error("writing a response"))
        response.headers.update(
            echo_headers(pending.headers) | transport_headers(pending.transport)
        )
        return response

    def _write_response(self, pending: _Pending) -> Response:
        if MODEL_QUERY in pending.headers:
            return self._writer.open_inference_model(
                pending.headers[MODEL_QUERY],
                has_outcome=self._has_outcome,
                has_unknown_score=self._has_score,
            )
        request, results = pending.request, pending.results
        if pending.rejection is not None or request is None or results is None:
            error = pending.rejection or InternalError("the request was not processed.")
            self._metrics.write_result(error, transport=pending.transport)
            if isinstance(error, InvalidTensorError) and is_kserve_path(pending.headers):
                return self._writer.open_inference_rejection(error)
            return self._writer.rejection(error)
        for result in results:
            self._metrics.write_result(result, transport=pending.transport)
        if request.options.wants_explanation:
            return self._explain(request, results)
        if not request.options.wants_outcome:
            results = [_without_outcome(result) for result in results]
        top_k = request.options.top_k or self._settings.default_top_k
        if request.shape == "single":
            return self._writer.single(results[0], top_k=top_k)
        if request.tensors is not None:
            return self._write_open_inference(request.tensors, results, top_k)
        key = "predictions" if request.shape == "kserve_v1" else "results"
        return self._writer.several(results, names=request.names, top_k=top_k, key=key)

    def _write_open_inference(
        self, request: TensorRequest, results: list[ImageResult], top_k: int
    ) -> Response:
        if len(results) == 1 and isinstance(results[0], RequestRejectedError):
            return self._writer.open_inference_rejection(results[0])
        return self._writer.open_inference(results, top_k=top_k, request=request)

    def _explain(self, request: Request, results: list[ImageResult]) -> Response:
        if len(results) > 1:
            raise InvalidRequestError(
                f"an explanation takes one image at a time, not {len(results)}."
            )
        image, result = request.images[0], results[0]
        if isinstance(result, RequestRejectedError) or isinstance(image, RequestRejectedError):
            return self._writer.single(result, top_k=1)
        explanation = self._explainer.explain(
            image, result.probabilities, class_name=request.options.explained_class
        )
        if request.options.wants_png:
            return self._writer.png(explanation.overlay_png())
        return self._writer.explanation(explanation.to_dict())


def _without_outcome(result: ImageResult) -> ImageResult:
    return Answer(result.probabilities) if isinstance(result, Answer) else result


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


def _internal_error(activity: str) -> InternalError:
    """Return the response to a fault of ours: the log has the traceback, the client a sentence."""
    logger.exception("Unexpected failure while %s.", activity)
    return InternalError(f"the server failed while {activity}; its log has the details.")
