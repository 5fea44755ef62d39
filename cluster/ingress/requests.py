"""HTTP requests taken apart as TorchServe's frontend does: a body within the limit, its parameters, its headers."""

from collections.abc import AsyncGenerator, Iterable
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from cluster import defaults
from cluster.message import Parameter

# Netty's default for a file without a type of its own.
FILE_TYPE = "application/octet-stream"


class BodyTooLargeError(Exception):
    """The body has more bytes than the limit; it was not read to its end."""


class _FormParser(MultiPartParser):
    # In memory: the body as a whole is, and is within the limit.
    spool_max_size = defaults.REQUEST_LIMIT_BYTES
    is_complete = False

    def on_end(self) -> None:
        self.is_complete = True


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


async def read_parameters(body: bytes, content_type: str) -> list[Parameter]:
    """Return the body as one parameter, or the fields of a form; none for a form that cannot be read to its end."""
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data" and options.get(b"boundary"):
        return await _read_multipart(body, content_type)
    if kind == b"application/x-www-form-urlencoded":
        return _read_urlencoded(body)
    return [Parameter("body", content_type, body)]


async def _read_multipart(body: bytes, content_type: str) -> list[Parameter]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = _FormParser(
        Headers({"content-type": content_type}),
        stream(),
        max_files=defaults.FORM_PARTS_MAX,
        max_fields=defaults.FORM_PARTS_MAX,
        max_part_size=defaults.REQUEST_LIMIT_BYTES,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, LookupError, ValueError):
        # The second and third: a charset that is not one, or does not fit.
        return []
    if not parser.is_complete:
        return []
    # Every file lies in memory, so that nothing is left open once they are gone.
    return [
        Parameter(name, value.content_type or FILE_TYPE, value.file.read())
        if isinstance(value, UploadFile)
        else Parameter(name, "", value.encode())
        for name, value in form.multi_items()
    ]


def _read_urlencoded(body: bytes) -> list[Parameter]:
    try:
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=defaults.FORM_PARTS_MAX)
    except ValueError:
        return []
    return [Parameter(name.decode("utf-8", "replace"), "", value) for name, value in pairs]
