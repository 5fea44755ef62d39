"""What a request may ask for besides an answer, and where it may say so.

| option | header | field, gRPC key or JSON parameter |
|---|---|---|
| number of classes | X-Top-K | top_k |
| explain instead of predict | (path /explanations) | explain |
| which class to explain | X-Explain-Class | class |
| explanation as a picture | Accept: image/png | format=png |
| latest useful moment | X-Request-Deadline-Ms | deadline_ms |
| the caller's own ids | X-Correlation-Id, traceparent | x-correlation-id, traceparent (no JSON parameters) |

A deadline of 10^11 or more is a moment, in Unix milliseconds. A smaller one is a time span,
counted from X-Request-Start (Unix seconds or milliseconds, with or without nginx's `t=`) or else
from when the worker received the request: TorchServe does not tell the worker when it received
it.
"""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.errors import DeadlineExceededError, InvalidRequestError, InvalidTopKError

OPTION_NAMES = frozenset({"top_k", "explain", "class", "format", "deadline_ms"})
# By which a caller finds its own request again, in the answer and in the log.
ID_NAMES = ("x-correlation-id", "traceparent")
# A longer one is left out: cut off, it would be another caller's.
LONGEST_ID = 256

_MOMENT_FROM_MS = 1e11
_SECONDS_BELOW = 1e11
_TRUE = {"true", "1", "yes"}


@dataclass(frozen=True, kw_only=True)
class Options:
    top_k: int | None = None
    is_explain: bool = False
    explain_class: str | None = None
    is_picture: bool = False
    deadline_unix_s: float | None = None

    def check_deadline(self, now_unix_s: float | None = None) -> None:
        """Return if there is time left.

        Raises:
            DeadlineExceededError: the caller no longer waits for an answer.
        """
        if self.deadline_unix_s is None:
            return
        late_s = (time.time() if now_unix_s is None else now_unix_s) - self.deadline_unix_s
        if late_s > 0:
            raise DeadlineExceededError(
                f"the deadline passed {late_s * 1000:.0f} ms ago; the image was not classified."
            )


def read_options(headers: Mapping[str, str], fields: Mapping[str, Any]) -> Options:
    """Return the options; a header goes before a field of the same meaning.

    Raises:
        InvalidTopKError: the number of classes is no whole number above 0.
        InvalidRequestError: the deadline is no number.
    """
    texts = {name: _to_text(value) for name, value in fields.items()}
    return Options(
        top_k=_read_top_k(headers.get("x-top-k", texts.get("top_k"))),
        is_explain=headers.get("explain", "").lower() in _TRUE
        or texts.get("explain", "").lower() in _TRUE,
        explain_class=headers.get("x-explain-class", texts.get("class")),
        is_picture="image/png" in headers.get("accept", "") or texts.get("format") == "png",
        deadline_unix_s=_read_deadline(headers, texts),
    )


def _to_text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:100]).decode("utf-8", errors="replace").strip()
    return str(value)[:100].strip()


def _read_top_k(text: str | None) -> int | None:
    if text is None:
        return None
    # ASCII digits alone: int() also takes '1_0', ' 3' and the digits of other scripts.
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise InvalidTopKError(f"top_k is {text[:100]!r}; it must be a whole number of 1 or more.")
    return int(text)


def _read_deadline(headers: Mapping[str, str], fields: Mapping[str, str]) -> float | None:
    text = headers.get("x-request-deadline-ms", fields.get("deadline_ms"))
    if text is None:
        return None
    value_ms = _to_number(text)
    if value_ms is None:
        raise InvalidRequestError(
            f"the deadline is {text[:100]!r}; it must be a number of milliseconds of 0 or more."
        )
    if value_ms >= _MOMENT_FROM_MS:
        return value_ms / 1000
    return _read_start(headers) + value_ms / 1000


def _read_start(headers: Mapping[str, str]) -> float:
    # Set by proxies rather than by the caller, so one we cannot read is left alone, not refused.
    start = _to_number(headers.get("x-request-start", "").removeprefix("t="))
    if start is None:
        return time.time()
    return start if start < _SECONDS_BELOW else start / 1000


def _to_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
