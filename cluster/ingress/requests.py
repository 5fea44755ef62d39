"""HTTP requests taken apart as TorchServe's frontend does: a body within the limit, its parameters, its headers."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from cluster import defaults
from cluster.ingress.forms import read_multipart
from cluster.message import Parameter


class BodyTooLargeError(Exception):
    """The body has more bytes than the limit; it was not read to its end."""


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body. Raises BodyTooLargeError before it reads more than the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise BodyTooLargeError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise BodyTooLargeError
    return bytes(body)


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by lower-case name, the last of each name, without the token."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    headers.pop("authorization", None)
    return headers


def read_parameters(body: bytes, content_type: str) -> list[Parameter]:
    """Return the body as one parameter, or the fields of a form; none for a form that cannot be read to its end."""
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data" and options.get(b"boundary"):
        return read_multipart(body, options[b"boundary"])
    if kind == b"application/x-www-form-urlencoded":
        return _read_urlencoded(body)
    return [Parameter("body", content_type, body)]


def _read_urlencoded(body: bytes) -> list[Parameter]:
    try:
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=defaults.FORM_PARTS_MAX)
    except ValueError:
        return []
    return [Parameter(name.decode("utf-8", "replace"), "", value) for name, value in pairs]
