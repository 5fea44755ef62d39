"""One request as TorchServe passes it on, in any of its shapes, to images and options.

Shapes: a raw body of any content type; a multipart form with one or more files; JSON (handlers/api/json_request.py);
a gRPC input map, which may hold any of these. Options may come in headers, form fields, gRPC keys or JSON parameters
(handlers/api/options.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from handlers.api.json_request import Shape, decode_image, parse_json, read_json
from handlers.api.options import ID_NAMES, MAX_ID_LENGTH, OPTION_NAMES, Options, read_options
from handlers.errors import EmptyBodyError, InvalidRequestError, RequestRejectedError
from handlers.images.decoding import Bytes

Transport = Literal["http", "grpc"]

# TorchServe sets the first with every request of HTTP, even of HTTP/1.0, which requires no `Host`.
_HTTP_HEADERS = frozenset({"content-length", "host", "url_path", "explain"})

# Form fields and gRPC keys that do not hold images.
_NOT_IMAGES = OPTION_NAMES.union(ID_NAMES)


@dataclass(frozen=True, kw_only=True)
class Request:
    images: tuple[Bytes | RequestRejectedError, ...]
    """In the order sent; in place of an image that cannot be read from the request stands its error."""
    shape: Shape
    options: Options
    request_id: str | None = None
    """The `id` of the Open Inference Protocol."""


def read_headers(raw: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, str]:
    """Return the text headers by lower-case name; TorchServe mixes in an object for each form field.

    The client's ids may also come as form fields or gRPC keys, because TorchServe drops the metadata of gRPC.
    """
    headers = {name.lower(): value for name, value in raw.items() if isinstance(value, str)}
    for name, value in item.items():
        if name.lower() in ID_NAMES and isinstance(value, (bytes, bytearray, str)):
            headers.setdefault(name.lower(), _read_id(value))
    return headers


def read_transport(headers: Mapping[str, str]) -> Transport:
    """Return how the request arrived: TorchServe passes on headers of HTTP, but no metadata of gRPC."""
    return "http" if _HTTP_HEADERS & headers.keys() else "grpc"


def read_request(
    item: Mapping[str, Any], headers: Mapping[str, str], *, max_images: int
) -> Request:
    """Return the images and options of one item of TorchServe's batch.

    Raises:
        RequestRejectedError: the request as a whole is invalid.
    """
    options = {name.lower(): v for name, v in item.items() if name.lower() in OPTION_NAMES}
    parts = [value for name, value in item.items() if name.lower() not in _NOT_IMAGES]
    if not parts:
        raise EmptyBodyError("the request holds no image; send its bytes as the body.")
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/x-www-form-urlencoded":
        raise InvalidRequestError(
            "the image arrived as a urlencoded form, which curl --data-binary sends by default; "
            "add -H 'Content-Type: application/octet-stream' or use curl -T."
        )
    json_content = None
    if len(parts) == 1:
        json_content = parse_json(parts[0], is_declared=content_type == "application/json")
    if json_content is None:
        shape: Shape = "single" if len(parts) == 1 else "several"
        images = _read_images(parts, max_images, _read_part)
        return Request(images=images, shape=shape, options=read_options(headers, options))
    # TorchServe sets url_path for /predictions and /explanations, but not for KServe's own paths.
    is_kserve_path = read_transport(headers) == "http" and "url_path" not in headers
    request = read_json(json_content, is_kserve_path=is_kserve_path)
    return Request(
        images=_read_images(request.images, max_images, decode_image),
        shape=request.shape,
        options=read_options(headers, {**request.parameters, **options}),
        request_id=request.request_id,
    )


def _read_id(value: bytes | bytearray | str) -> str:
    # One character more than an id may have, so that a longer one is still too long; decoding all of it could be slow.
    start = value[: MAX_ID_LENGTH + 1]
    return start if isinstance(start, str) else start.decode("utf-8", errors="replace")


def _read_images(
    parts: list[Any], max_images: int, read: Callable[[Any], Bytes]
) -> tuple[Bytes | RequestRejectedError, ...]:
    if len(parts) > max_images:
        raise InvalidRequestError(
            f"a request may hold at most {max_images} images, not {len(parts)}."
        )
    images: list[Bytes | RequestRejectedError] = []
    for part in parts:
        try:
            images.append(read(part))
        except RequestRejectedError as error:
            images.append(error)
    return tuple(images)


def _read_part(value: Any) -> Bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return value
    if isinstance(value, str):
        # TorchServe has decoded text/* already; of all images only base64 survives that.
        return decode_image(value) if value else b""
    raise InvalidRequestError(f"an image must be bytes, not {type(value).__name__}.")
