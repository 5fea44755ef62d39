"""What TorchServe passes on of one request: its headers, and its inputs, of which some are images and some options.

Inputs are the body, the fields of a form, the query parameters of /invocations, or the keys of a gRPC map. An image is
the body, a file of a form, or bytes of gRPC; text fields, query parameters and text under unknown keys of gRPC are not.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from handlers.api.options import ID_NAMES, MAX_ID_LENGTH, OPTION_NAMES
from handlers.errors import EmptyBodyError, InvalidRequestError

Transport = Literal["http", "grpc"]

# Where the clients of TensorFlow Serving, of KServe and of TorchServe's own handlers put an image.
IMAGE_KEYS = ("b64", "image_bytes", "image", "data", "body")

# In place of a header: the names of the inputs that came more than once, of which TorchServe keeps the last.
REPEATED_INPUTS = "headswap-repeated-inputs"

# Names are repeated in the response, and a response above 20 MB would kill the worker.
MAX_NAME_LENGTH = 256

# TorchServe sets the first with every request of HTTP, even of HTTP/1.0, which requires no `Host`.
_HTTP_HEADERS = frozenset({"content-length", "host", "url_path", "explain"})
_NOT_IMAGES = OPTION_NAMES.union(ID_NAMES)
_TEXT_HEAD_BYTES = 512
_BINARY = re.compile(r"[^\t\r\n\x20-\x7e\x80-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    images: dict[str, Any]
    """By name, in the order of the form, or for gRPC, whose maps have none, in the order of the names."""
    options: dict[str, Any]
    """By lower-case name."""


def read_headers(raw: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, str]:
    """Return the text headers by lower-case name; TorchServe mixes in an object for each input.

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


def is_kserve_path(headers: Mapping[str, str]) -> bool:
    """Return whether the request came by a path of KServe: only for its own paths TorchServe sets url_path."""
    return read_transport(headers) == "http" and "url_path" not in headers


def read_content_type(headers: Mapping[str, str]) -> str:
    """Return the content type of the body in lower case, without parameters; "" if there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def read_inputs(
    item: Mapping[str, Any], raw: Mapping[str, Any], headers: Mapping[str, str]
) -> Inputs:
    """Return the images, at least one, and the options.

    Raises:
        EmptyBodyError: none of the inputs is an image.
        InvalidRequestError: two inputs have one name, or a name is too long.
    """
    _check_names(item, raw)
    is_grpc = read_transport(headers) == "grpc"
    is_form = read_content_type(headers) == "multipart/form-data"
    names = [
        name
        for name in item
        if name.lower() not in _NOT_IMAGES
        and (
            _is_grpc_image(name, item[name])
            if is_grpc
            else _is_http_image(name, item[name], raw.get(name), is_form=is_form)
        )
    ]
    options = {name.lower(): v for name, v in item.items() if name.lower() in OPTION_NAMES}
    if not names:
        raise EmptyBodyError(_describe_missing(item))
    return Inputs(
        images={name: item[name] for name in (sorted(names, key=_order) if is_grpc else names)},
        options=options,
    )


def _check_names(item: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    repeated = raw.get(REPEATED_INPUTS)
    # A client can send a header of this name, but only as text.
    if isinstance(repeated, list):
        raise InvalidRequestError(
            f"the request has more than one field named {_quote(repeated)}, of which TorchServe keeps one; "
            "give each photo a field name of its own, as in -F a=@one.jpg -F b=@two.jpg."
        )
    if any(len(name) > MAX_NAME_LENGTH for name in item):
        raise InvalidRequestError(
            f"the name of a field or key may have at most {MAX_NAME_LENGTH} characters."
        )


def _is_http_image(name: str, value: Any, described: Any, *, is_form: bool) -> bool:
    """`described` is TorchServe's `{"content-type": ...}`, which is empty for everything but a file of a form."""
    if isinstance(described, str):
        # A header has the same name as this field and takes its place.
        return not _is_text(value)
    if not isinstance(described, Mapping) or described.get("content-type"):
        return True
    return name == "body" and not is_form


def _is_grpc_image(name: str, value: Any) -> bool:
    return name in IMAGE_KEYS or name.isdecimal() or not _is_text(value)


def _is_text(value: Any) -> bool:
    """Return whether the bytes are text that is not JSON."""
    if not isinstance(value, (bytes, bytearray)) or not value:
        return False
    try:
        # Incremental, because the end may lie within a character.
        head = codecs.getincrementaldecoder("utf-8")().decode(bytes(value[:_TEXT_HEAD_BYTES]))
    except UnicodeDecodeError:
        return False
    return not _BINARY.search(head) and not head.lstrip().startswith(("{", "["))


def _order(name: str) -> tuple[bool, int, str]:
    """Sort numbers by value, before other names."""
    is_number = name.isascii() and name.isdecimal()
    return (not is_number, int(name) if is_number else 0, name)


def _describe_missing(item: Mapping[str, Any]) -> str:
    texts = [name for name in item if name.lower() not in _NOT_IMAGES]
    if not texts:
        return (
            "the request holds no image; send its bytes as the body (curl -T photo.jpg) or in a form "
            "(curl -F image=@photo.jpg)."
        )
    return (
        f"the request holds no image: {_quote(texts)} is text. In a form, send a file "
        "(curl -F image=@photo.jpg); over gRPC, send the image's bytes under the key data."
    )


def _quote(names: list[str]) -> str:
    return ", ".join(repr(name[:100]) for name in names[:5])


def _read_id(value: bytes | bytearray | str) -> str:
    # One character more than an id may have, so that a longer one is still too long; decoding all of it could be slow.
    start = value[: MAX_ID_LENGTH + 1]
    return start if isinstance(start, str) else start.decode("utf-8", errors="replace")
