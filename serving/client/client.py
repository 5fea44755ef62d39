"""The one client: the same calls, results and errors whichever transport carries them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar, overload

from serving.client import bodies
from serving.client.in_order import in_order
from serving.client.management_api import ManagementApi
from serving.client.results import Explanation, Outcome, Prediction
from serving.client.retries import retried
from serving.client.transport import Option, Request, Transport
from serving.errors import PHOTO_CODES, AddressError, BadImageError, RequestError, TooLargeError

TIMEOUT_S = 30.0
READY_TIMEOUT_S = 5.0
CONNECTIONS = 8

Result = TypeVar("Result")


class Client:
    """A context manager; may be shared by threads. `timeout_s` covers a call with all its retries."""

    def __init__(
        self, transport: Transport, *, manage: Callable[[], ManagementApi] | None = None
    ) -> None:
        self._transport = transport
        self._manage = manage
        self._management: ManagementApi | None = None
        self.retries = 0
        """How many tries beyond the first the questions needed so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        photos: Sequence[bytes],
        *,
        top_k: int | None = None,
        version: str | None = None,
        correlation_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> list[Outcome]: ...

    def predict(
        self,
        model: str,
        photos: bytes | Sequence[bytes],
        *,
        top_k: int | None = None,
        version: str | None = None,
        correlation_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Prediction | list[Outcome]:
        """Return the answer for one photo; for a list, sent as one request, an outcome for each in its order.

        `correlation_id` is your own name of the request in the server's requests.log: printable ASCII, at most 256.

        Raises:
            RequestError: the photo, or the request as a whole, has no answer.
        """
        options = _options(top_k=top_k, correlation_id=correlation_id)
        several = () if isinstance(photos, bytes) else tuple(photos)
        if not isinstance(photos, bytes) and not several:
            return []
        sent = (photos,) if isinstance(photos, bytes) else several
        question = Request(model=model, version=version, photos=sent, options=options)
        if len(several) > 1:
            return self._ask(
                question,
                lambda body: bodies.read_outcomes(body, count=len(several)),
                timeout_s=timeout_s,
            )
        if isinstance(photos, bytes):
            return self._ask(question, bodies.read_prediction, timeout_s=timeout_s)
        try:
            return [self._ask(question, bodies.read_prediction, timeout_s=timeout_s)]
        except (BadImageError, TooLargeError) as error:
            # Of a request of one photo the photo's error is the request's.
            if error.code not in PHOTO_CODES:
                raise
            return [error]

    def predict_many(
        self,
        model: str,
        photos: Iterable[bytes],
        *,
        top_k: int | None = None,
        version: str | None = None,
        correlation_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
        in_flight: int = CONNECTIONS,
    ) -> Iterator[Outcome]:
        """Yield an outcome a photo in their order, each photo a request, `in_flight` of them under way."""
        answers = in_order(
            lambda photo: self.predict(
                model,
                photo,
                top_k=top_k,
                version=version,
                correlation_id=correlation_id,
                timeout_s=timeout_s,
            ),
            photos,
            in_flight=in_flight,
        )
        with closing(answers):
            for answer in answers:
                if isinstance(answer, Exception) and not isinstance(answer, RequestError):
                    raise answer
                yield answer

    def explain(
        self,
        model: str,
        photo: bytes,
        *,
        class_name: str | None = None,
        version: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Explanation:
        """Return which part of the photo spoke for a class, by default the likeliest. Raises RequestError."""
        question = _explain(model, photo, class_name, version)
        return self._ask(question, bodies.read_explanation, timeout_s=timeout_s)

    def explain_picture(
        self,
        model: str,
        photo: bytes,
        *,
        class_name: str | None = None,
        version: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> bytes:
        """Return the same as a PNG: what the network saw, with the heat laid over. Raises RequestError."""
        question = _explain(model, photo, class_name, version, {"format": "png"})
        return self._ask(question, bodies.read_picture, timeout_s=timeout_s)

    def ready(
        self, model: str, *, version: str | None = None, timeout_s: float = READY_TIMEOUT_S
    ) -> bool:
        """Return whether a worker of the model answers.

        An empty photo is sent, which costs no computing: only a loaded handler refuses it in its own words. Whether
        the answers are right is what `headswap ready` finds out.
        """
        question = Request(model=model, version=version, photos=(b"",))
        try:
            self._transport_ask(question, bodies.read_prediction, timeout_s)
        except RequestError as error:
            return error.code in PHOTO_CODES
        return True

    def models(self) -> list[str]:
        """Return the names of the models that are loaded. Raises RequestError, or AddressError as `management` does."""
        return self.management.models()

    @property
    def management(self) -> ManagementApi:
        """Return what registers, describes, scales, switches and unloads versions, over the same transport.

        Raises:
            AddressError: this client was given no management address.
        """
        if self._management is None:
            if self._manage is None:
                raise AddressError(
                    "this client has no management address; give one with management=…, as http://HOST:PORT."
                )
            self._management = self._manage()
        return self._management

    def _ask(
        self, question: Request, read: Callable[[bytes], Result], *, timeout_s: float
    ) -> Result:
        # Read inside a try: what HTTP says by its status, gRPC says in the body alone.
        return retried(
            lambda left_s: self._transport_ask(question, read, left_s),
            timeout_s=timeout_s,
            on_retry=self._count_retry,
        )

    def _count_retry(self) -> None:
        self.retries += 1

    def _transport_ask(
        self, question: Request, read: Callable[[bytes], Result], timeout_s: float
    ) -> Result:
        return read(self._transport.ask(question, timeout_s=timeout_s))


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
