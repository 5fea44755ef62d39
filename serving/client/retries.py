"""Retries: only of what is safe, only within the timeout, with jitter so that clients do not return all at once."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from serving.errors import InternalServerError, OverloadedError, UnreachableError

RETRIES = 4
# Doubles with each retry; the jitter keeps clients that were refused together from coming back together.
BASE_DELAY_S = 0.05
# A lost connection, a full queue, a dead worker. A classification changes nothing on the server, so sending it twice
# is harmless; a rejected photo, a wrong token and a missed deadline would only fail again.
RETRYABLE = (OverloadedError, UnreachableError, InternalServerError)

Result = TypeVar("Result")


def call_with_retries(
    send: Callable[[float], Result],
    *,
    timeout_s: float,
    on_retry: Callable[[], None] = lambda: None,
) -> Result:
    """Return what `send` returns, called with the seconds left of `timeout_s`; call `on_retry` before each retry.

    Raises:
        RequestError: what the last attempt raised.
    """
    deadline = time.monotonic() + timeout_s
    for attempt in range(RETRIES):
        try:
            return send(max(deadline - time.monotonic(), 0.001))
        except RETRYABLE:
            delay_s = delay_before(attempt + 1)
            if time.monotonic() + delay_s >= deadline:
                raise
            time.sleep(delay_s)
            on_retry()
    return send(max(deadline - time.monotonic(), 0.001))


def delay_before(retry: int) -> float:
    """Return the seconds before retry 1, 2, ...: 0.05, 0.1, 0.2, 0.4, times a random factor from 0.5 to 1.5."""
    return BASE_DELAY_S * (1 << (retry - 1)) * (0.5 + random.random())
