"""Keeps requests coming from several connections while something happens, and notes what became of each."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from serving.client import Client, Prediction
from serving.errors import RequestError, ServingError

POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One request and what came of it."""

    began_s: float
    """Of time.monotonic()."""
    latency_ms: float
    photo: int
    """Its place among the photos."""
    answer: Prediction | None
    failure: str | None
    """The error's class, where there is no answer."""


@dataclass(kw_only=True)
class Tally:
    """Latencies in milliseconds, of answered requests alone."""

    samples: list[Sample] = field(default_factory=list)
    retries: int = 0

    @property
    def requests(self) -> int:
        return len(self.samples)

    @property
    def answered_by(self) -> Counter[str]:
        return Counter(one.answer.version for one in self.samples if one.answer is not None)

    @property
    def failures(self) -> Counter[str]:
        return Counter(one.failure for one in self.samples if one.failure is not None)

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def latencies_ms(self) -> list[float]:
        return [one.latency_ms for one in self.samples if one.answer is not None]


class Load:
    """A context manager: requests come from entering to leaving; `tally` has them.

    `connect` is called once a connection, so that several transports may take turns.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        model: str,
        photos: Sequence[bytes],
        *,
        connections: int = 4,
        top_k: int | None = None,
    ) -> None:
        self.tally = Tally()
        self._connect, self._model, self._photos, self._top_k = connect, model, photos, top_k
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
            for index in itertools.cycle(range(len(self._photos))):
                if self._stopping.is_set():
                    break
                sample = self._ask(client, (index + number) % len(self._photos))
                with self._lock:
                    self.tally.samples.append(sample)
        with self._lock:
            self.tally.retries += client.retries

    def _ask(self, client: Client, photo: int) -> Sample:
        began_s = time.monotonic()
        answer, failure = None, None
        try:
            answer = client.predict(self._model, self._photos[photo], top_k=self._top_k)
        except RequestError as error:
            failure = type(error).__name__
        latency_ms = (time.monotonic() - began_s) * 1e3
        return Sample(
            began_s=began_s, latency_ms=latency_ms, photo=photo, answer=answer, failure=failure
        )
