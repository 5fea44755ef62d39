"""Keeps requests coming from several connections while something happens, and counts what became of them."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from serving.client import Client
from serving.errors import RequestError, ServingError

POLL_S = 0.02


@dataclass(kw_only=True)
class Tally:
    """Latencies in milliseconds."""

    answered_by: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return len(self.latencies_ms) + self.failures.total()

    @property
    def failed(self) -> int:
        return self.failures.total()

    def percentile_ms(self, share: float) -> float:
        """Return the latency that `share` of the answers stayed within; 0 without answers."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Load:
    """A context manager: requests come from entering to leaving; `tally` counts them."""

    def __init__(
        self,
        connect: Callable[[], Client],
        model: str,
        photos: Sequence[bytes],
        *,
        connections: int = 4,
    ) -> None:
        self.tally = Tally()
        self._connect, self._model, self._photos = connect, model, photos
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(n,), daemon=True) for n in range(connections)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for_requests(self, count: int, *, timeout_s: float = 60.0) -> None:
        """Return when `count` requests are done. Raises ServingError when that takes too long."""
        deadline = time.monotonic() + timeout_s
        while self.tally.requests < count:
            if time.monotonic() > deadline:
                raise ServingError(
                    f"only {self.tally.requests} of {count} requests were done in {timeout_s:.0f} s."
                )
            time.sleep(POLL_S)

    def _send(self, number: int) -> None:
        with self._connect() as client:
            for photo in itertools.islice(itertools.cycle(self._photos), number, None):
                if self._stopping.is_set():
                    return
                began = time.monotonic()
                try:
                    answer = client.predict(self._model, photo)
                except RequestError as error:
                    with self._lock:
                        self.tally.failures[type(error).__name__] += 1
                else:
                    with self._lock:
                        self.tally.answered_by[answer.version] += 1
                        self.tally.latencies_ms.append((time.monotonic() - began) * 1e3)
