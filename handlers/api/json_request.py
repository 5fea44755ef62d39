"""Requests in JSON: KServe v1 (`instances`), Open Inference Protocol v2 (`inputs`) or plain (`b64`)."""

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from handlers.api.inputs import IMAGE_KEYS
from handlers.api.open_inference import NO_DATA, TensorRequest, read_tensors
from handlers.api.options import OPTION_NAMES
from handlers.errors import InvalidRequestError, InvalidTensorError

Shape = Literal["single", "several", "kserve_v1", "open_inference"]

_IMAGE_RULE = 'an image must be base64 text or {"b64": "..."}'


@dataclass(frozen=True, kw_only=True)
class JsonRequest:
    shape: Shape
    images: list[Any]
    """Not decoded yet: base64 text, or an object that holds it; or `bytes` of a binary tensor."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tensors: TensorRequest | None = None


def parse_json(value: Any, *, is_declared: bool) -> Any:
    """Return the JSON that `value` is or spells; None if it is not JSON and was not declared to be.

    Raises:
        InvalidRequestError: it was declared to be JSON and is not, or its type is not one that TorchServe passes on.
    """
    if isinstance(value, (dict, list)):
        return value
    if not isinstance(value, (str, bytes, bytearray, memoryview)):
        raise _unknown_shape(f"the JSON is {type(value).__name__}")
    head = value[:64] if isinstance(value, str) else bytes(value[:64]).decode("latin-1")
    if not head.lstrip().startswith(("{", "[")) and not is_declared:
        return None
    try:
        content = json.loads(value if isinstance(value, str) else bytes(value))
    except (ValueError, RecursionError) as error:
        if is_declared:
            raise InvalidRequestError(f"the body is not JSON: {error}.") from None
        return None
    return content


def read_json(content: Any, *, is_kserve_path: bool) -> JsonRequest:
    """Return the images and parameters of parsed JSON, and the shape its response must have.

    Raises:
        InvalidRequestError: it has none of the known shapes.
    """
    if isinstance(content, str):
        return JsonRequest(shape="single", images=[content])
    if isinstance(content, list):
        return JsonRequest(shape="several", images=_require_list("the list", content))
    if not isinstance(content, dict):
        raise _unknown_shape(f"the JSON is {type(content).__name__}")
    parameters = _read_parameters(content)
    if "instances" in content:
        return JsonRequest(
            shape="kserve_v1" if is_kserve_path else "several",
            images=_require_list("instances", content["instances"]),
            parameters=parameters,
        )
    if "inputs" in content:
        return read_tensor_json(content)
    if any(key in content for key in IMAGE_KEYS):
        return JsonRequest(shape="single", images=[content], parameters=parameters)
    raise _unknown_shape(f"the JSON has the keys {', '.join(map(str, content))[:200] or '(none)'}")


def read_tensor_json(content: Any, data: memoryview = NO_DATA) -> JsonRequest:
    """Return the images and parameters of the Open Inference Protocol; `data` is what follows the JSON.

    Raises:
        InvalidTensorError: the JSON holds no tensors of images, or the data does not fit them.
    """
    if not isinstance(content, dict) or "inputs" not in content:
        raise InvalidTensorError("the JSON must be an object with inputs, a list of tensors.")
    tensors = read_tensors(content, data)
    return JsonRequest(
        shape="open_inference",
        images=tensors.images,
        parameters=_read_parameters(content),
        tensors=tensors,
    )


def decode_image(value: Any) -> bytes:
    """Return the image's bytes from base64 text, a data URI, an object that holds either, or the bytes themselves.

    Raises:
        InvalidRequestError: it is not any of these.
    """
    if isinstance(value, bytes):
        return value
    # Two levels: {"image_bytes": {"b64": "..."}} is the format of TensorFlow Serving.
    for _ in range(2):
        if isinstance(value, Mapping):
            value = next((value[key] for key in IMAGE_KEYS if key in value), None)
    if not isinstance(value, str):
        raise InvalidRequestError(f"{_IMAGE_RULE}, not {type(value).__name__}.")
    if value.startswith("data:"):
        value = value.partition(",")[2]
    try:
        compact = "".join(value.split()).translate(str.maketrans("-_", "+/"))
        return b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"{_IMAGE_RULE}; this is not base64: {error}.") from None


def _read_parameters(content: Mapping[str, Any]) -> dict[str, Any]:
    nested = content.get("parameters")
    merged = {**(nested if isinstance(nested, Mapping) else {}), **content}
    return {name.lower(): merged[name] for name in merged if name.lower() in OPTION_NAMES}


def _require_list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _unknown_shape(f"{name} must be a list of one or more")
    return value


def _unknown_shape(problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f'{problem}; send {{"b64": ...}}, {{"instances": [{{"b64": ...}}]}} (KServe v1) or '
        '{"inputs": [{"name", "shape", "datatype": "BYTES", "data"}]} (Open Inference v2).'
    )
