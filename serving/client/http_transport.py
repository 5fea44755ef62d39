"""Requests over TorchServe's HTTP API."""

from urllib.parse import quote

import requests

from serving.client.endpoint import Endpoint
from serving.client.request_limit import is_over_limit, too_large
from serving.client.responses import parse_error, shorten
from serving.client.sessions import session_to
from serving.client.transport import CONNECT_TIMEOUT_S, Option, Request, photo_names
from serving.errors import DeadlineError, UnreachableError

HEADER_OF: dict[Option, str] = {
    "top_k": "X-Top-K",
    "class": "X-Explain-Class",
    "headswap_capture": "X-Headswap-Capture",
    "x-correlation-id": "X-Correlation-Id",
}
BYTES = "application/octet-stream"
# A form field: its name, and the file's name, content and type.
Part = tuple[str, tuple[str, bytes, str]]


class HttpTransport:
    def __init__(self, endpoint: Endpoint, *, connections: int) -> None:
        self.endpoint = endpoint
        self._session = session_to(endpoint.address, connections=connections, tls=endpoint.tls)

    def send(self, request: Request, *, timeout_s: float) -> bytes:
        """Send the request once and return the response body. Raises RequestError."""
        return self.endpoint.call_with_token(lambda token: self._post(request, token, timeout_s))

    def close(self) -> None:
        self._session.close()

    def _post(self, request: Request, token: str | None, timeout_s: float) -> bytes:
        url = f"{self.endpoint.address}/{_path(request)}"
        headers = _headers(request)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        timeouts_s = (min(CONNECT_TIMEOUT_S, timeout_s), timeout_s)
        data, files = _content(request)
        try:
            response = self._session.post(
                url, data=data, files=files, headers=headers, timeout=timeouts_s
            )
        except requests.ReadTimeout:
            raise DeadlineError(
                f"{url} did not answer within {timeout_s:.3g} s.", status=504
            ) from None
        except requests.RequestException as error:
            size_bytes = _body_bytes(error.request)
            if is_over_limit(size_bytes, self.endpoint):
                # TorchServe closes the connection before it has read a larger request to its end.
                raise too_large(size_bytes, self.endpoint) from None
            raise UnreachableError(f"{url} cannot be reached: {_reason(error)}.") from None
        if response.status_code == 413 and not response.content:
            # TorchServe's own; the handler's has a body.
            raise too_large(_body_bytes(response.request), self.endpoint)
        if response.status_code >= 400:
            raise parse_error(response.content, status=response.status_code)
        return response.content


def _reason(error: BaseException) -> str:
    """Return the message of the kernel or OpenSSL from inside the exceptions of requests and urllib3."""
    inner = getattr(error, "reason", None) or next(
        (argument for argument in error.args if isinstance(argument, BaseException)), None
    )
    if isinstance(inner, BaseException):
        return _reason(inner)
    cause = error.__cause__ or error.__context__
    source = cause if isinstance(cause, OSError) and cause.strerror else error
    return shorten(getattr(source, "strerror", None) or source)


def _body_bytes(sent: requests.PreparedRequest | requests.Request | None) -> int:
    body = getattr(sent, "body", None)
    return len(body) if isinstance(body, bytes) else 0


def _path(request: Request) -> str:
    api = "explanations" if "explain" in request.options else "predictions"
    segments = [api, request.model] + ([request.version] if request.version else [])
    return "/".join(quote(segment, safe="") for segment in segments)


def _headers(request: Request) -> dict[str, str]:
    headers = {
        HEADER_OF[name]: value for name, value in request.options.items() if name in HEADER_OF
    }
    if request.options.get("format") == "png":
        headers["Accept"] = "image/png"
    if len(request.photos) == 1:
        headers["Content-Type"] = BYTES
    return headers


def _content(request: Request) -> tuple[bytes | None, list[Part] | None]:
    """Return the body of a single photo, or the parts of a multipart form."""
    if len(request.photos) == 1:
        return request.photos[0], None
    names = photo_names(len(request.photos))
    return None, [
        (name, (name, photo, BYTES)) for name, photo in zip(names, request.photos, strict=True)
    ]
