"""Questions over TorchServe's HTTP API."""

from urllib.parse import quote

import requests

from serving.client.bodies import error_in, shorten
from serving.client.endpoint import Endpoint
from serving.client.sessions import session_to
from serving.client.transport import CONNECT_TIMEOUT_S, Option, Request
from serving.errors import DeadlineError, UnreachableError

HEADER_OF: dict[Option, str] = {
    "top_k": "X-Top-K",
    "class": "X-Explain-Class",
    "x-correlation-id": "X-Correlation-Id",
}
BYTES = "application/octet-stream"
# A field of a form: its name, and the file's name, bytes and type.
Part = tuple[str, tuple[str, bytes, str]]


class HttpTransport:
    def __init__(self, endpoint: Endpoint, *, connections: int) -> None:
        self.endpoint = endpoint
        self._session = session_to(endpoint.address, connections=connections, tls=endpoint.tls)

    def ask(self, question: Request, *, timeout_s: float) -> bytes:
        """Return the body of the answer to one try. Raises RequestError."""
        return self.endpoint.authorised(lambda token: self._post(question, token, timeout_s))

    def close(self) -> None:
        self._session.close()

    def _post(self, question: Request, token: str | None, timeout_s: float) -> bytes:
        url = f"{self.endpoint.address}/{_path(question)}"
        headers = _headers(question)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        timeouts_s = (min(CONNECT_TIMEOUT_S, timeout_s), timeout_s)
        data, files = _content(question)
        try:
            answer = self._session.post(
                url, data=data, files=files, headers=headers, timeout=timeouts_s
            )
        except requests.ReadTimeout:
            raise DeadlineError(
                f"{url} gave no answer within {timeout_s:.3g} s.", status=504
            ) from None
        except requests.RequestException as error:
            raise UnreachableError(f"{url} cannot be reached: {_reason(error)}.") from None
        if answer.status_code >= 400:
            raise error_in(answer.content, status=answer.status_code)
        return answer.content


def _reason(error: BaseException) -> str:
    """Return the kernel's or OpenSSL's own words, from inside what requests and urllib3 wrapped around them."""
    inner = getattr(error, "reason", None) or next(
        (told for told in error.args if isinstance(told, BaseException)), None
    )
    if isinstance(inner, BaseException):
        return _reason(inner)
    cause = error.__cause__ or error.__context__
    told = cause if isinstance(cause, OSError) and cause.strerror else error
    return shorten(getattr(told, "strerror", None) or told)


def _path(question: Request) -> str:
    api = "explanations" if "explain" in question.options else "predictions"
    words = [api, question.model] + ([question.version] if question.version else [])
    return "/".join(quote(word, safe="") for word in words)


def _headers(question: Request) -> dict[str, str]:
    headers = {
        HEADER_OF[name]: value for name, value in question.options.items() if name in HEADER_OF
    }
    if question.options.get("format") == "png":
        headers["Accept"] = "image/png"
    if len(question.photos) == 1:
        headers["Content-Type"] = BYTES
    return headers


def _content(question: Request) -> tuple[bytes | None, list[Part] | None]:
    """Return the body, or the parts of a form."""
    if len(question.photos) == 1:
        return question.photos[0], None
    names = [f"{number:06}" for number in range(len(question.photos))]
    return None, [
        (name, (name, photo, BYTES)) for name, photo in zip(names, question.photos, strict=True)
    ]
