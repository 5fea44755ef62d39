"""Turns the results of a request's images into its response, in the shape that the request asked for."""

import logging
from dataclasses import dataclass, field

from handlers.answer import Answer, ImageResult
from handlers.api.inputs import Transport, is_kserve_path
from handlers.api.open_inference import MODEL_QUERY, TensorRequest, check_outputs
from handlers.api.request import Request
from handlers.api.responses import Response, ResponseWriter, echo_headers, transport_headers
from handlers.engines.explanation import Explainer
from handlers.errors import (
    InternalError,
    InvalidRequestError,
    InvalidTensorError,
    RequestRejectedError,
)
from handlers.extracted import ExtractedArchive
from handlers.images.decoding import Bytes
from handlers.settings import HandlerSettings

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Pending:
    """A request of the batch while it is processed."""

    headers: dict[str, str]
    transport: Transport
    request: Request | None = None
    """None for a question about the model, and where it is rejected."""
    rejection: RequestRejectedError | None = None
    results: list[ImageResult] = field(default_factory=list)
    """Of its images, in order."""

    @property
    def images(self) -> tuple[Bytes | RequestRejectedError, ...]:
        """Its images, or the errors in their place; none where the request itself is rejected."""
        return () if self.request is None else self.request.images


class Responder:
    def __init__(
        self, archive: ExtractedArchive, settings: HandlerSettings, writer: ResponseWriter
    ) -> None:
        self._writer = writer
        self._explainer = Explainer(archive, settings)
        self._default_top_k = settings.default_top_k
        self._has_score = settings.unknown and archive.has_unknown_score
        self._has_outcome = self._has_score or settings.min_probability > 0

    def check_outputs(self, request: Request) -> None:
        """Return if the answers here have what the request names.

        Raises:
            InvalidTensorError: it names an output of the Open Inference Protocol that they lack.
        """
        if request.tensors is not None:
            wanted = request.options.wants_outcome
            check_outputs(
                request.tensors,
                has_outcome=wanted and self._has_outcome,
                has_unknown_score=wanted and self._has_score,
            )

    def respond(self, pending: Pending) -> Response:
        """Return the response; a fault while it is written makes it one about that."""
        try:
            response = self._respond(pending)
        except RequestRejectedError as error:
            response = self._writer.rejection(error)
        except Exception:
            response = self._writer.rejection(internal_error("writing a response"))
        return _addressed(response, pending)

    def reject(self, pending: Pending, error: RequestRejectedError) -> Response:
        """Return the response to a request that has not been read."""
        return _addressed(self._writer.rejection(error), pending)

    def _respond(self, pending: Pending) -> Response:
        if MODEL_QUERY in pending.headers:
            return self._writer.open_inference_model(
                pending.headers[MODEL_QUERY],
                has_outcome=self._has_outcome,
                has_unknown_score=self._has_score,
            )
        if pending.rejection is not None:
            return self._reject(pending, pending.rejection)
        assert pending.request is not None
        if pending.request.options.wants_explanation:
            return self._explain(pending.request, pending.results)
        return self._predict(pending.request, pending.results)

    def _reject(self, pending: Pending, error: RequestRejectedError) -> Response:
        if isinstance(error, InvalidTensorError) and is_kserve_path(pending.headers):
            return self._writer.open_inference_rejection(error)
        return self._writer.rejection(error)

    def _predict(self, request: Request, results: list[ImageResult]) -> Response:
        if not request.options.wants_outcome:
            results = [_without_outcome(result) for result in results]
        top_k = request.options.top_k or self._default_top_k
        if request.shape == "single":
            return self._writer.single(results[0], top_k=top_k)
        if request.tensors is not None:
            return self._predict_tensors(request.tensors, results, top_k)
        key = "predictions" if request.shape == "kserve_v1" else "results"
        return self._writer.several(results, names=request.names, top_k=top_k, key=key)

    def _predict_tensors(
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


def internal_error(activity: str) -> InternalError:
    """Return the response to a fault of ours: the log has the traceback, the client a sentence."""
    logger.exception("Unexpected failure while %s.", activity)
    return InternalError(f"the server failed while {activity}; its log has the details.")


def _addressed(response: Response, pending: Pending) -> Response:
    """Return the response with the headers that the client and TorchServe need."""
    response.headers.update(echo_headers(pending.headers) | transport_headers(pending.transport))
    return response


def _without_outcome(result: ImageResult) -> ImageResult:
    return Answer(result.probabilities) if isinstance(result, Answer) else result
