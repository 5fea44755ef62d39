"""A loaded archive, answering batches of requests: each its own answer, whatever the others do."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.api.answers import Answer, AnswerWriter, Outcome, echo_headers
from handlers.api.request import Request, read_headers, read_request, read_transport
from handlers.draining import DrainMarker
from handlers.engines.cpu_engines import describe_versions
from handlers.engines.explanation import Explainer
from handlers.engines.pipelines import Pipeline, choose_pipeline
from handlers.errors import InternalError, InvalidRequestError, RequestRejectedError
from handlers.extracted import ExtractedArchive, open_extracted
from handlers.images.loaders import Photo, Timings
from handlers.memory import return_freed_memory
from handlers.metric_buffer import MetricBuffer
from handlers.metrics import Metrics
from handlers.probes import replay_probes
from handlers.request_log import RequestLog
from handlers.settings import HandlerSettings

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Pending:
    """A request on its way through the batch."""

    headers: dict[str, str]
    transport: str
    request: Request | None = None
    outcomes: list[Outcome] | None = None
    refused: RequestRejectedError | None = None


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
        self._lines = MetricBuffer()
        self._metrics = Metrics(metric_cache, archive.card, self._lines)
        self._request_log = RequestLog(archive.card, self._lines)
        self._writer = AnswerWriter(archive.card)
        self._explainer = Explainer(archive, settings)
        self._drain_marker = DrainMarker(archive.folder, worker_pid=os.getpid())

    def describe(self) -> dict[str, Any]:
        """Return the model card, and what it is served with here."""
        return self.archive.card.to_dict() | {
            "served_with": {
                "pipeline": self.pipeline.name,
                "precision": self.pipeline.precision,
                "library_versions": describe_versions(),
            }
        }

    def answer(
        self, items: list[Mapping[str, Any]], raw_headers: list[Mapping[str, Any]]
    ) -> list[Answer]:
        """Return one answer an item, in their order."""
        if (rejection := self._drain_marker.rejection()) is not None:
            return self._reject_all(rejection, items, raw_headers)
        started = time.perf_counter()
        batch = [self._read(item, raw) for item, raw in zip(items, raw_headers, strict=True)]
        timings = Timings()
        self._classify(batch, timings)
        answers = [self._write(pending) for pending in batch]
        transports = [pending.transport for pending in batch]
        total_s = time.perf_counter() - started
        self._metrics.write_call(timings, transports=transports, total_s=total_s)
        self._request_log.write(answers, transports=transports, duration_ms=total_s * 1000)
        return answers

    def _reject_all(
        self,
        rejection: RequestRejectedError,
        items: list[Mapping[str, Any]],
        raw_headers: list[Mapping[str, Any]],
    ) -> list[Answer]:
        batch = [read_headers(raw, item) for raw, item in zip(raw_headers, items, strict=True)]
        answers = [self._writer.refused(rejection) for _ in batch]
        for answer, headers in zip(answers, batch, strict=True):
            answer.headers.update(echo_headers(headers))
        transports = [read_transport(headers) for headers in batch]
        self._request_log.write(answers, transports=transports, duration_ms=0.0)
        # This worker may be ended any moment now.
        self._lines.flush()
        return answers

    def _read(self, item: Mapping[str, Any], raw_headers: Mapping[str, Any]) -> _Pending:
        headers = read_headers(raw_headers, item)
        pending = _Pending(headers=headers, transport=read_transport(headers))
        try:
            pending.request = read_request(
                item, headers, max_images=self._settings.max_images_per_request
            )
            pending.request.options.check_deadline()
        except RequestRejectedError as error:
            pending.refused = error
        except Exception:
            pending.refused = _internal("reading a request")
        return pending

    def _classify(self, batch: list[_Pending], timings: Timings) -> None:
        """Fill in the outcomes: one pass through the network for the images of all requests."""
        photos: list[Photo] = []
        for owner, pending in enumerate(batch):
            if pending.request is not None and pending.refused is None:
                images = pending.request.images
                photos += [
                    Photo(i, owner) for i in images if not isinstance(i, RequestRejectedError)
                ]
        try:
            found = iter(self.pipeline.classify(photos, timings))
        except Exception:
            found = iter([_internal("classifying a batch")] * len(photos))
        for pending in batch:
            if pending.request is not None and pending.refused is None:
                images = pending.request.images
                pending.outcomes = [
                    i if isinstance(i, RequestRejectedError) else next(found) for i in images
                ]

    def _write(self, pending: _Pending) -> Answer:
        try:
            answer = self._write_answer(pending)
        except RequestRejectedError as error:
            answer = self._writer.refused(error)
        except Exception:
            answer = self._writer.refused(_internal("writing an answer"))
        answer.headers.update(echo_headers(pending.headers))
        return answer

    def _write_answer(self, pending: _Pending) -> Answer:
        request, outcomes = pending.request, pending.outcomes
        if pending.refused is not None or request is None or outcomes is None:
            error = pending.refused or InternalError("the request was not answered.")
            self._metrics.write_outcome(error, transport=pending.transport)
            return self._writer.refused(error)
        for outcome in outcomes:
            self._metrics.write_outcome(outcome, transport=pending.transport)
        if request.options.is_explain:
            return self._explain(request, outcomes)
        top_k = request.options.top_k or self._settings.default_top_k
        if request.shape == "one":
            return self._writer.one(outcomes[0], top_k=top_k)
        if request.shape == "open_inference":
            return self._write_open_inference(request, outcomes, top_k)
        key = "predictions" if request.shape == "kserve_v1" else "results"
        return self._writer.several(outcomes, top_k=top_k, key=key)

    def _write_open_inference(
        self, request: Request, outcomes: list[Outcome], top_k: int
    ) -> Answer:
        if len(outcomes) == 1 and isinstance(outcomes[0], RequestRejectedError):
            return self._writer.open_inference_refused(outcomes[0])
        return self._writer.open_inference(outcomes, top_k=top_k, request_id=request.request_id)

    def _explain(self, request: Request, outcomes: list[Outcome]) -> Answer:
        if len(outcomes) > 1:
            raise InvalidRequestError(f"{len(outcomes)} images to explain; send one at a time.")
        image, outcome = request.images[0], outcomes[0]
        if isinstance(outcome, RequestRejectedError) or isinstance(image, RequestRejectedError):
            return self._writer.one(outcome, top_k=1)
        explanation = self._explainer.explain(
            image, outcome, class_name=request.options.explain_class
        )
        if request.options.is_picture:
            return self._writer.picture(explanation.overlay_png())
        return self._writer.explained(explanation.to_dict())


def _internal(doing: str) -> InternalError:
    """Return the answer to a fault of ours; the log holds the whole, the caller gets a sentence."""
    logger.exception("Unexpected failure while %s.", doing)
    return InternalError(f"something failed on the server while {doing}; its log says what.")


def load_classifier(
    folder: Path, *, model_config: Mapping[str, Any] | None, gpu_id: int | None, metric_cache: Any
) -> Classifier:
    """Return the classifier of an extracted archive, its probes replayed and its engine warm.

    Raises:
        HandlerError: the archive or its settings are wrong, or a probe differs beyond the
        tolerance.
    """
    started = time.perf_counter()
    archive = open_extracted(folder)
    settings = HandlerSettings.from_model_config(model_config)
    pipeline = choose_pipeline(archive, settings, gpu_id=gpu_id)
    if pipeline.precision != archive.card.precision:
        logger.warning(
            "model.onnx is %s, which only ONNX Runtime on a CPU computes: %s serves the float32 weights "
            "instead, slower on a CPU and with other probabilities.",
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
