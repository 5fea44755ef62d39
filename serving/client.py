"""One client for both transports: typed answers, one exception tree, timeouts always.

with HttpClient(settings) as client:
    prediction = client.predict("clothing", photo, top_k=3)
"""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import requests

from serving import stubs, tokens
from serving.errors import (
    DeadlineError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    RequestError,
    TooLargeError,
    UnauthorisedError,
    UnreachableError,
    request_error,
)
from serving.sessions import local_session
from serving.settings import ServerSettings

CONNECT_TIMEOUT_S = 5.0
TIMEOUT_S = 30.0
RETRIES = 4
# Doubles with each try; the jitter keeps clients that were refused together from coming back together.
RETRY_BASE_S = 0.05
MESSAGE_LIMIT_BYTES = 20_000_000

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Guess:
    label: str
    index: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer for one photo, best guess first."""

    model: str
    version: str
    guesses: tuple[Guess, ...]

    @property
    def top(self) -> Guess:
        return self.guesses[0]


class Client(Protocol):
    def predict(
        self,
        model: str,
        photo: bytes,
        *,
        top_k: int | None = None,
        version: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Prediction:
        """Return the answer for one photo. Raises RequestError."""

    def close(self) -> None:
        """Close the connections."""


class _Base:
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
        raise NotImplementedError


class HttpClient(_Base):
    """A classification changes nothing on the server, so whatever got no answer is sent again."""

    def __init__(self, settings: ServerSettings, *, connections: int = 8) -> None:
        self._settings = settings
        self._session = local_session(connections=connections)
        self._token: str | None = None

    def predict(
        self,
        model: str,
        photo: bytes,
        *,
        top_k: int | None = None,
        version: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Prediction:
        """Return the answer for one photo. Raises RequestError."""
        path = f"predictions/{model}" + (f"/{version}" if version else "")
        headers = {"Content-Type": "application/octet-stream"}
        if top_k is not None:
            headers["X-Top-K"] = str(top_k)
        return retried(
            lambda: self._post(path, photo, headers, timeout_s), forget_token=self._forget_token
        )

    def close(self) -> None:
        self._session.close()

    def _post(
        self, path: str, photo: bytes, headers: dict[str, str], timeout_s: float
    ) -> Prediction:
        if self._settings.uses_tokens:
            self._token = self._token or tokens.read_token(self._settings.key_file, "inference")
            headers = {**headers, "Authorization": f"Bearer {self._token}"}
        url = f"{self._settings.inference_url}/{path}"
        try:
            answer = self._session.post(
                url, data=photo, headers=headers, timeout=(CONNECT_TIMEOUT_S, timeout_s)
            )
        except requests.Timeout:
            raise DeadlineError(f"{url} gave no answer within {timeout_s:g} s.") from None
        except requests.RequestException as error:
            raise UnreachableError(f"{url} cannot be reached: {_short(error)}.") from None
        return read_answer(answer.content, status=answer.status_code)

    def _forget_token(self) -> None:
        self._token = None


class GrpcClient(_Base):
    """The same over gRPC; an error in a body is raised just as HTTP's status is."""

    def __init__(self, settings: ServerSettings) -> None:
        # Here and not above: a verb that never speaks gRPC need not wait for its import.
        import grpc

        self._settings = settings
        self._messages, calls = stubs.load()
        self._channel = grpc.insecure_channel(
            settings.grpc_target,
            options=[
                ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
                ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
            ],
        )
        self._stub = calls.InferenceAPIsServiceStub(self._channel)
        self._token: str | None = None

    def predict(
        self,
        model: str,
        photo: bytes,
        *,
        top_k: int | None = None,
        version: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Prediction:
        """Return the answer for one photo. Raises RequestError."""
        fields = {"data": photo}
        if top_k is not None:
            fields["top_k"] = str(top_k).encode()
        return retried(
            lambda: self._call(model, version, fields, timeout_s), forget_token=self._forget_token
        )

    def close(self) -> None:
        self._channel.close()

    def _call(
        self, model: str, version: str | None, fields: dict[str, bytes], timeout_s: float
    ) -> Prediction:
        import grpc

        request = self._messages.PredictionsRequest(
            model_name=model, model_version=version or "", input=fields
        )
        metadata = []
        if self._settings.uses_tokens:
            self._token = self._token or tokens.read_token(self._settings.key_file, "inference")
            metadata = [("authorization", f"Bearer {self._token}")]
        try:
            answer = self._stub.Predictions(request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise _from_grpc(error, timeout_s) from None
        return read_answer(answer.prediction, status=200)

    def _forget_token(self) -> None:
        self._token = None


def retried(send: Callable[[], Prediction], *, forget_token: Callable[[], None]) -> Prediction:
    """Return what `send` returns, trying again after a lost connection, a full queue, a dead worker, an old token."""
    for attempt in range(RETRIES + 1):
        try:
            return send()
        except UnauthorisedError:
            if attempt > 0:
                raise
            forget_token()
        except (OverloadedError, UnreachableError, InternalServerError):
            if attempt == RETRIES:
                raise
            time.sleep(RETRY_BASE_S * 2**attempt * (0.5 + random.random()))
    raise AssertionError("the last attempt returns or raises")


def predict_many(
    classify: Callable[[Result], Prediction], photos: Iterable[Result], *, in_flight: int
) -> Iterator[Prediction | Exception]:
    """Yield the answers in the photos' order, `in_flight` of them under way; an error stands in its photo's place."""
    with ThreadPoolExecutor(in_flight) as pool:
        source = iter(photos)
        waiting: list[Future[Prediction]] = [
            pool.submit(classify, photo) for photo in islice(source, 2 * in_flight)
        ]
        while waiting:
            first = waiting.pop(0)
            error = first.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            for photo in islice(source, 1):
                waiting.append(pool.submit(classify, photo))
            yield first.result() if error is None else error


def read_answer(body: bytes, *, status: int) -> Prediction:
    """Return the prediction in an answer's body. Raises RequestError for an error, whichever transport brought it."""
    try:
        answer = json.loads(body)
    except ValueError:
        raise request_error(
            status if status >= 400 else 500, "", _short(body.decode(errors="replace"))
        ) from None
    if status >= 400 and "error" not in answer:
        # TorchServe's own words: {"code", "type", "message"}.
        raise request_error(
            status, str(answer.get("type", "")), str(answer.get("message", answer))[:300]
        )
    if "error" in answer:
        error = answer["error"]
        raise request_error(int(error["status"]), error["code"], error["message"])
    return Prediction(
        model=answer["model"]["name"],
        version=answer["model"]["version"],
        guesses=tuple(Guess(**guess) for guess in answer["predictions"]),
    )


def _from_grpc(error: Any, timeout_s: float) -> RequestError:
    import grpc

    code, details = error.code(), str(error.details())
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(f"no answer within {timeout_s:g} s.", status=504)
    if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
        return UnauthorisedError(_short(details), status=401)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return TooLargeError(_short(details), status=413)
    if code == grpc.StatusCode.UNAVAILABLE:
        return UnreachableError(_short(details), status=503)
    # TorchServe says INTERNAL for all of these; only its words tell them apart.
    if "NotFoundException" in details:
        return NotFoundError(_short(details), status=404)
    if "has no worker to serve" in details:
        return OverloadedError(_short(details), status=503)
    return request_error(500, str(code), _short(details))


def _short(told: object) -> str:
    return " ".join(str(told).split())[:300]


def top_labels(predictions: Sequence[Prediction]) -> list[str]:
    return [prediction.top.label for prediction in predictions]
