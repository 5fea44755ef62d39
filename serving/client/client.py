"""The client: the same methods, results and errors over either transport."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Self, TypeVar, overload

from serving.client import responses
from serving.client.management import ManagementApi
from serving.client.results import Explanation, Outcome, Prediction
from serving.client.retries import call_with_retries
from serving.client.transport import Option, Request, Transport
from serving.errors import PHOTO_CODES, AddressError, BadImageError, RequestError, TooLargeError

TIMEOUT_S = 30.0
READY_TIMEOUT_S = 5.0
CONNECTIONS = 8

Result = TypeVar("Result")


class Client:
    """A context manager that threads may share. `timeout_s` covers a call with all its retries."""

    def __init__(
        self, transport: Transport, *, connect_management: Callable[[], ManagementApi] | None = None
    ) -> None:
        self._transport = transport
        self._connect_management = connect_management
        self._management: ManagementApi | None = None
        self.allows_capture = True
        """False: a server that keeps photos for labelling is asked to keep none of this client's."""
        self.retries = 0
        """How many retries this client's requests have needed so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
        if self._management is not None:
            self._management.close()

    @overload
    def predict(
        self,
        model: str,
        photos: bytes,
        *,
        top_k: int | None = None,
        version: str | None = None,
        correlation_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        model: str,
        photos: Sequence[bytes] | Mapping[str, bytes],
        *,
        top_k: int | None = None,
        version: str | None = None,
        correlation_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> list[Outcome]: ...

    def predict(
        self,
        model: str,
        photos: bytes | Sequence[bytes] | Mapping[str, bytes],
        *,
        top_k: int | None = None,
        version: str | None = None,
        correlation_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Prediction | list[Outcome]:
        """Return the prediction for one photo, or one outcome per photo of several, which are sent as one request.

        `photos` are encoded images (JPEG, PNG, ...). The outcomes of several are in their order, and the `name` of each
        is the photo's index in a list ("0", "1", ...) or its key in a dict. `top_k` is how many classes come back, by
        default 5; `version` one that is loaded, by default the live one. `correlation_id`, printable ASCII of at most
        256 characters, identifies the request in the server's requests.log.

        Raises:
            RequestError: the photo, or the request as a whole, was not answered.
        """
        options = _options(top_k=top_k, correlation_id=correlation_id)
        is_single = isinstance(photos, bytes)
        named = _name_photos(photos)
        names, sent = tuple(named), tuple(named.values())
        if not sent:
            return []
        request = Request(model=model, version=version, photos=sent, options=options)
        if len(sent) > 1:
            return self._send(
                request,
                lambda body: responses.parse_outcomes(body, names=names),
                timeout_s=timeout_s,
            )
        try:
            prediction = self._send(request, responses.parse_prediction, timeout_s=timeout_s)
        except (BadImageError, TooLargeError) as error:
            # The server answers a list of one as a single photo, so the photo's error is the request's.
            if is_single or error.code not in PHOTO_CODES:
                raise
            error.name = names[0]
            return [error]
        return prediction if is_single else [replace(prediction, name=names[0])]

    def explain(
        self,
        model: str,
        photo: bytes,
        *,
        class_name: str | None = None,
        version: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Explanation:
        """Return which part of the photo raised the score of a class, by default the top one. Raises RequestError."""
        request = _explain(model, photo, class_name, version)
        return self._send(request, responses.parse_explanation, timeout_s=timeout_s)

    def explain_png(
        self,
        model: str,
        photo: bytes,
        *,
        class_name: str | None = None,
        version: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> bytes:
        """Return the explanation as a PNG: the network's crop under the heat map. Raises RequestError."""
        request = _explain(model, photo, class_name, version, {"format": "png"})
        return self._send(request, responses.parse_png, timeout_s=timeout_s)

    def is_ready(
        self, model: str, *, version: str | None = None, timeout_s: float = READY_TIMEOUT_S
    ) -> bool:
        """Return whether a worker of the model answers.

        This sends an empty photo, which costs no inference: only a loaded handler rejects it with its own error code.
        Whether the answers are right is what `headswap ready` checks.
        """
        request = Request(model=model, version=version, photos=(b"",))
        try:
            self._send_once(request, responses.parse_prediction, timeout_s)
        except RequestError as error:
            return error.code in PHOTO_CODES
        return True

    def models(self) -> list[str]:
        """Return the names of the loaded models. Raises RequestError, or AddressError as `management` does."""
        return self.management.models()

    @property
    def management(self) -> ManagementApi:
        """Return what registers, describes, scales, switches and unloads versions, over the same transport.

        Raises:
            AddressError: this client was given no management address.
        """
        if self._management is None:
            if self._connect_management is None:
                raise AddressError(
                    "this client has no management address; pass management=Endpoint(address='http://HOST:PORT')."
                )
            self._management = self._connect_management()
        return self._management

    def _send(
        self, request: Request, parse: Callable[[bytes], Result], *, timeout_s: float
    ) -> Result:
        if not self.allows_capture:
            request = replace(request, options={**request.options, "headswap_capture": "no"})
        # Parsed within the attempt: what HTTP says by its status, gRPC says only in the body.
        return call_with_retries(
            lambda left_s: self._send_once(request, parse, left_s),
            timeout_s=timeout_s,
            on_retry=self._count_retry,
        )

    def _count_retry(self) -> None:
        self.retries += 1

    def _send_once(
        self, request: Request, parse: Callable[[bytes], Result], timeout_s: float
    ) -> Result:
        return parse(self._transport.send(request, timeout_s=timeout_s))


def _name_photos(photos: bytes | Sequence[bytes] | Mapping[str, bytes]) -> dict[str, bytes]:
    if isinstance(photos, bytes):
        return {"0": photos}
    if isinstance(photos, Mapping):
        return dict(photos)
    return {str(index): photo for index, photo in enumerate(photos)}


def _options(*, top_k: int | None, correlation_id: str | None) -> dict[Option, str]:
    given: dict[Option, str | None] = {
        "top_k": None if top_k is None else str(top_k),
        "x-correlation-id": correlation_id,
    }
    return {name: value for name, value in given.items() if value is not None}


def _explain(
    model: str,
    photo: bytes,
    class_name: str | None,
    version: str | None,
    more: dict[Option, str] | None = None,
) -> Request:
    options: dict[Option, str] = {"explain": "true", **(more or {})}
    if class_name is not None:
        options["class"] = class_name
    return Request(model=model, version=version, photos=(photo,), options=options)
