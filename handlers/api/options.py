"""The options of a request, and where each may be given.

| option | header | form field, gRPC key or JSON parameter; the header's name will do |
|---|---|---|
| number of classes | X-Top-K | top_k |
| explain instead of predict | (path /explanations) | explain |
| the class to explain | X-Explain-Class | class |
| explanation as an image | Accept: image/png | format=png |
| deadline | X-Request-Deadline-Ms | deadline_ms |
| answers without outcome | X-Unknown: off | unknown=off |
| keep no copy of the photos | X-Headswap-Capture: no | headswap_capture=no |
| the client's own ids | X-Correlation-Id, traceparent | x-correlation-id, traceparent (no JSON parameters) |

A deadline of 10^11 or more is a point in time, in Unix milliseconds. A smaller one is a duration, counted from
X-Request-Start (Unix seconds or milliseconds, with or without nginx's `t=`), or else from when the worker received
the request: TorchServe does not tell the worker when it received it.
"""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.errors import DeadlineExceededError, InvalidRequestError, InvalidTopKError

# Of each option that has a header: gRPC has none, so there the header's name is taken for a key, too. A refusal to be
# captured must not be lost by its spelling.
_HEADERS = {
    "top_k": "x-top-k",
    "class": "x-explain-class",
    "deadline_ms": "x-request-deadline-ms",
    "unknown": "x-unknown",
    "headswap_capture": "x-headswap-capture",
}
OPTION_NAMES = frozenset({"explain", "format", *_HEADERS, *_HEADERS.values()})
# By these a client finds its request again, in the response and in the log.
ID_NAMES = ("x-correlation-id", "traceparent")
# A longer id is left out: truncated, it could be another client's.
MAX_ID_LENGTH = 256

_MIN_TIMESTAMP_MS = 1e11
_MAX_TIMESTAMP_S = 1e11
_TRUE = {"true", "1", "yes"}
_SWITCH = {"on": True, "true": True, "off": False, "false": False}


@dataclass(frozen=True, kw_only=True)
class Options:
    top_k: int | None = None
    wants_explanation: bool = False
    explained_class: str | None = None
    wants_png: bool = False
    deadline_unix_s: float | None = None
    wants_outcome: bool = True
    allows_capture: bool = True
    """Whether the server may keep the photos, where it is started with --capture."""

    def check_deadline(self, now_unix_s: float | None = None) -> None:
        """Return if the deadline has not passed.

        Raises:
            DeadlineExceededError: the client no longer waits for a response.
        """
        if self.deadline_unix_s is None:
            return
        late_s = (time.time() if now_unix_s is None else now_unix_s) - self.deadline_unix_s
        if late_s > 0:
            raise DeadlineExceededError(
                f"the deadline passed {late_s * 1000:.0f} ms ago; the image was not classified."
            )


def read_options(headers: Mapping[str, str], fields: Mapping[str, Any]) -> Options:
    """Return the options; a header takes precedence over a field of the same meaning.

    Raises:
        InvalidTopKError: the number of classes is not a whole number above 0.
        InvalidRequestError: the deadline is not a number, or unknown is neither on nor off.
    """
    texts = {name: _to_text(value) for name, value in fields.items()}
    given = {
        name: headers.get(header, texts.get(name, texts.get(header)))
        for name, header in _HEADERS.items()
    }
    return Options(
        top_k=_parse_top_k(given["top_k"]),
        wants_explanation=headers.get("explain", "").lower() in _TRUE
        or texts.get("explain", "").lower() in _TRUE,
        explained_class=given["class"],
        wants_png="image/png" in headers.get("accept", "") or texts.get("format") == "png",
        deadline_unix_s=_read_deadline(given["deadline_ms"], headers),
        wants_outcome=_parse_switch(given["unknown"]),
        allows_capture=_allows_capture(given["headswap_capture"]),
    )


def _allows_capture(text: str | None) -> bool:
    # Whatever does not mean yes, means no.
    return text is None or text.strip().lower() in _TRUE


def _parse_switch(text: str | None) -> bool:
    if text is None:
        return True
    switch = _SWITCH.get(text.strip().lower())
    if switch is None:
        raise InvalidRequestError(f"unknown must be on or off, not {text[:100]!r}.")
    return switch


def _to_text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:100]).decode("utf-8", errors="replace").strip()
    return str(value)[:100].strip()


def _parse_top_k(text: str | None) -> int | None:
    if text is None:
        return None
    # ASCII digits only: int() also takes '1_0', ' 3' and the digits of other scripts.
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise InvalidTopKError(f"top_k must be a whole number of 1 or more, not {text[:100]!r}.")
    return int(text)


def _read_deadline(text: str | None, headers: Mapping[str, str]) -> float | None:
    if text is None:
        return None
    value_ms = _parse_number(text)
    if value_ms is None:
        raise InvalidRequestError(
            f"the deadline must be a number of milliseconds of 0 or more, not {text[:100]!r}."
        )
    if value_ms >= _MIN_TIMESTAMP_MS:
        return value_ms / 1000
    return _read_start(headers) + value_ms / 1000


def _read_start(headers: Mapping[str, str]) -> float:
    # Proxies set it rather than the client, so one that cannot be read is ignored, not rejected.
    start = _parse_number(headers.get("x-request-start", "").removeprefix("t="))
    if start is None:
        return time.time()
    return start if start < _MAX_TIMESTAMP_S else start / 1000


def _parse_number(text: str) -> float | None:
    """Return the finite number of 0 or more that the text spells, else None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
