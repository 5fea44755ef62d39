"""Requests of the Open Inference Protocol v2, with images as JSON or by its binary tensor data extension.

With the extension the body is JSON, whose length is in a header, followed by the data of the tensors in their order.
An element of BYTES is there preceded by its length: 4 bytes, little-endian.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from handlers.errors import InvalidTensorError

# The length in bytes of the JSON at the start of a body or response of the extension.
LENGTH_HEADER = "inference-header-content-length"

# With this header a request asks about the model itself, `ready` or `metadata`: KServe's paths for them end in the
# gateway (deploy/kubernetes/base/default.conf.template), because TorchServe has none.
MODEL_QUERY = "x-headswap-model"

# What follows the JSON without the extension.
NO_DATA = memoryview(b"")

OUTPUT_NAMES = ("label", "index", "probability", "error", "outcome", "unknown_score")

_RULE = "send the encoded image (JPEG, PNG, ...) as an element of a BYTES tensor"


@dataclass(frozen=True, kw_only=True)
class TensorRequest:
    images: list[Any]
    """`bytes` of the extension, or not decoded yet: base64 text, or an object that holds it."""
    is_binary_output: dict[str, bool]
    """Of each requested output, in this order: whether it comes as binary data."""
    request_id: str | None
    named_outputs: frozenset[str] = frozenset()
    """Those that the request names; without any it gets all that the model has."""


def split_body(body: bytes | bytearray | memoryview, length: str) -> tuple[Any, memoryview]:
    """Return the parsed JSON at the start of the body, and the data of the tensors behind it.

    Raises:
        InvalidTensorError: `length`, the header, is not that of JSON.
    """
    if not length.isascii() or not length.isdecimal() or int(length[:20]) > len(body):
        raise InvalidTensorError(
            f"the header Inference-Header-Content-Length must be the length of the JSON, 0 to {len(body)} bytes, "
            f"not {length[:100]!r}."
        )
    data = memoryview(body)
    try:
        return json.loads(bytes(data[: int(length)])), data[int(length) :]
    except (ValueError, RecursionError) as error:
        raise InvalidTensorError(
            f"the first {int(length)} bytes, the length in Inference-Header-Content-Length, are not JSON: {error}."
        ) from None


def read_tensors(content: Mapping[str, Any], data: memoryview = NO_DATA) -> TensorRequest:
    """Return the images of all inputs; `data` is what follows the JSON.

    Raises:
        InvalidTensorError: a tensor is not one of images, or its shape or length does not fit its data.
    """
    tensors = content["inputs"]
    if not isinstance(tensors, list) or not tensors:
        raise InvalidTensorError(f"inputs must be a list of one tensor or more; {_RULE}.")
    images: list[Any] = []
    for tensor in tensors:
        elements, data = _read_tensor(tensor, data)
        images += elements
    if len(data):
        raise InvalidTensorError(f"{len(data)} bytes follow the data of the last tensor.")
    is_binary_output = _read_outputs(content)
    return TensorRequest(
        images=images,
        is_binary_output=is_binary_output,
        named_outputs=frozenset(is_binary_output if content.get("outputs") else ()),
        request_id=str(content["id"])[:256] if "id" in content else None,
    )


def check_outputs(request: TensorRequest, *, has_outcome: bool, has_unknown_score: bool) -> None:
    """Return if the answer will have the outputs that the request names.

    Raises:
        InvalidTensorError: it names the outcome or the unknown score, which this answer has not.
    """
    missing = {"outcome": not has_outcome, "unknown_score": not has_unknown_score}
    names = [name for name in OUTPUT_NAMES if not missing.get(name)]
    for name in OUTPUT_NAMES:
        if name in request.named_outputs and name not in names:
            raise _no_such_output(name, names)


def _no_such_output(name: Any, names: Iterable[str]) -> InvalidTensorError:
    return InvalidTensorError(
        f"the requested output {name!r:.100} does not exist; the outputs are {', '.join(names)}."
    )


def _read_tensor(tensor: Any, data: memoryview) -> tuple[list[Any], memoryview]:
    """Return the elements of a tensor, and the data behind its own."""
    if not isinstance(tensor, Mapping):
        raise InvalidTensorError(
            f"an input must be a tensor, not {type(tensor).__name__}; {_RULE}."
        )
    name = repr(tensor.get("name"))[:100]
    datatype = tensor.get("datatype", "BYTES")
    if datatype != "BYTES":
        raise InvalidTensorError(f"input {name} has the datatype {datatype!r:.100}; {_RULE}.")
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, Mapping) else None
    if size is None:
        elements = _flatten(tensor.get("data"))
    elif isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(data):
        raise InvalidTensorError(
            f"binary_data_size of input {name} must be 0 to {len(data)}, the bytes that follow, not {size!r:.100}."
        )
    else:
        elements, data = _split_elements(name, data[:size]), data[size:]
    _check_shape(name, tensor.get("shape"), len(elements))
    return elements, data


def _flatten(values: Any) -> list[Any]:
    """Return the elements of data of any nesting, or of a single element without a list, in row-major order."""
    elements: list[Any] = []
    rest = [] if values is None else [values]
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            rest += reversed(value)
        else:
            elements.append(value)
    return elements


def _split_elements(name: str, data: memoryview) -> list[bytes]:
    elements: list[bytes] = []
    start = 0
    while start < len(data):
        end = start + 4
        if end <= len(data):
            end += struct.unpack_from("<I", data, start)[0]
        if end > len(data):
            raise InvalidTensorError(
                f"the binary data of input {name} cannot be split into elements; each must be preceded by its length "
                "in 4 bytes, little-endian."
            )
        elements.append(bytes(data[start + 4 : end]))
        start = end
    return elements


def _check_shape(name: str, shape: Any, count: int) -> None:
    if not count:
        raise InvalidTensorError(f"input {name} holds no data; {_RULE}.")
    if shape is None:
        return
    is_valid = isinstance(shape, list) and all(
        isinstance(length, int) and not isinstance(length, bool) and length >= 0 for length in shape
    )
    # Limited so that a long list of large numbers costs nothing.
    if not is_valid or len(shape) > 16 or prod(shape) != count:
        raise InvalidTensorError(
            f"input {name} has the shape {shape!r:.100}, but the number of elements in its data is {count}; "
            f"the shape must be [{count}]."
        )


def _read_outputs(content: Mapping[str, Any]) -> dict[str, bool]:
    parameters = content.get("parameters")
    is_binary = isinstance(parameters, Mapping) and parameters.get("binary_data_output") is True
    requested = content.get("outputs")
    if not requested:
        return dict.fromkeys(OUTPUT_NAMES, is_binary)
    outputs: dict[str, bool] = {}
    for output in requested if isinstance(requested, list) else [requested]:
        name = output.get("name") if isinstance(output, Mapping) else output
        if name not in OUTPUT_NAMES:
            raise _no_such_output(name, OUTPUT_NAMES)
        own = output.get("parameters") if isinstance(output, Mapping) else None
        wanted = own.get("binary_data") if isinstance(own, Mapping) else None
        outputs[name] = is_binary if wanted is None else wanted is True
    return outputs
