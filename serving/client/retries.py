"""Trying again: only what is safe, only while there is time, never all clients at once."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from serving.errors import InternalServerError, OverloadedError, UnreachableError

RETRIES = 4
# Doubles with each try; the jitter keeps clients that were refused together from coming back together.
BASE_DELAY_S = 0.05
# A lost connection, a full queue, a dead worker. A classification changes nothing on the server, so asking twice
# is harmless; a photo that was refused, a wrong token and a passed deadline would only be so again.
WORTH_RETRYING = (OverloadedError, UnreachableError, InternalServerError)

Result = TypeVar("Result")


def retried(
    send: Callable[[float], Result],
    *,
    timeout_s: float,
    on_retry: Callable[[], None] = lambda: None,
) -> Result:
    """Return what `send` returns, given the seconds that are left of `timeout_s`; tells of each new try.

    Raises:
        RequestError: what the last try raised.
    """
    deadline = time.monotonic() + timeout_s
    for attempt in range(RETRIES):
        try:
            return send(max(deadline - time.monotonic(), 0.001))
        except WORTH_RETRYING:
            delay_s = delay_before(attempt + 1)
            if time.monotonic() + delay_s >= deadline:
                raise
            time.sleep(delay_s)
            on_retry()
    return send(max(deadline - time.monotonic(), 0.001))


def delay_before(retry: int) -> float:
    """Return the seconds before the first, second... retry: half to one and a half times 0.05, 0.1, 0.2, 0.4."""
    return BASE_DELAY_S * (1 << (retry - 1)) * (0.5 + random.random())
