"""One request as TorchServe passes it on, in any of its shapes, to images and options.

Shapes: a raw body of any content type; a multipart form with one or more files; JSON (handlers/api/json_request.py);
a gRPC input map, which may hold any of these (handlers/api/inputs.py). Options may come in headers, form fields, gRPC
keys or JSON parameters (handlers/api/options.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from handlers.api.inputs import is_kserve_path, read_content_type, read_inputs
from handlers.api.json_request import (
    JsonRequest,
    Shape,
    decode_image,
    parse_json,
    read_json,
    read_tensor_json,
)
from handlers.api.open_inference import LENGTH_HEADER, TensorRequest, split_body
from handlers.api.options import Options, read_options
from handlers.errors import InvalidRequestError, RequestRejectedError
from handlers.images.decoding import Bytes


@dataclass(frozen=True, kw_only=True)
class Request:
    images: tuple[Bytes | RequestRejectedError, ...]
    """In the order sent; in place of an image that cannot be read from the request stands its error."""
    names: tuple[str, ...]
    """Of each image: the form's field, the gRPC key, or the index in JSON."""
    shape: Shape
    options: Options
    tensors: TensorRequest | None = None
    """What the Open Inference Protocol says besides."""


def read_request(
    item: Mapping[str, Any],
    raw_headers: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    max_images: int,
) -> Request:
    """Return the images and options of one item of TorchServe's batch.

    Raises:
        RequestRejectedError: the request as a whole is invalid.
    """
    content_type = read_content_type(headers)
    is_urlencoded = content_type == "application/x-www-form-urlencoded"
    if is_urlencoded and headers.get("content-length") != "0":
        raise InvalidRequestError(
            "the image arrived as a urlencoded form, which curl --data-binary sends by default; "
            "add -H 'Content-Type: application/octet-stream' or use curl -T."
        )
    inputs = read_inputs(item, raw_headers, headers)
    parts = list(inputs.images.values())
    request = _read_json_part(parts, headers) if len(parts) == 1 else None
    if request is None:
        return Request(
            images=_read_images(parts, max_images, _read_part),
            names=tuple(inputs.images),
            shape="single" if len(parts) == 1 else "several",
            options=read_options(headers, inputs.options),
        )
    images = _read_images(request.images, max_images, decode_image)
    return Request(
        images=images,
        names=tuple(map(str, range(len(images)))),
        shape=request.shape,
        options=read_options(headers, {**request.parameters, **inputs.options}),
        tensors=request.tensors,
    )


def _read_json_part(parts: list[Any], headers: Mapping[str, str]) -> JsonRequest | None:
    """Return the request that the only part spells in JSON; None if it is an image."""
    (part,) = parts
    json_length = headers.get(LENGTH_HEADER)
    if json_length is not None and isinstance(part, (bytes, bytearray, memoryview)):
        return read_tensor_json(*split_body(part, json_length))
    is_declared = read_content_type(headers) == "application/json"
    content = parse_json(part, is_declared=is_declared)
    if content is None:
        return None
    return read_json(content, is_kserve_path=is_kserve_path(headers))


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
