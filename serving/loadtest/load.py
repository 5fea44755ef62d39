"""The load generator of the product, the tuner and the benchmarks: requests, and what became of each.

`Load` sends through the project's own clients, over HTTP or gRPC and with their retries, from threads and for as long
as something else happens: it shows what users see. `closed_loop` and `open_loop` measure a server on this machine:
they post bytes made beforehand from a single thread and leave the server the cores. Closed loop: each connection sends
its next request once the last is answered. Open loop: requests come as a Poisson process, however many are still
unanswered, and a latency counts from the moment a request was due, not from when it was sent.
"""

import asyncio
import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from serving.client import Client
from serving.errors import RequestError, ServerError, ServingError
from serving.loadtest.http_target import HttpConnection, HttpTarget
from serving.loadtest.result import LoadResult, RequestSample

POLL_S = 0.02
OK = 200
CONNECTION_LOST = "connection lost"
# Connections start this many photos apart, so that they do not all send the same one at once.
PHOTO_STEP = 7


class Load:
    """A context manager that sends requests from entering to leaving; `result` has them.

    `connect` is called once per connection, so that several transports may take turns.
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
        self.result = LoadResult()
        self._connect, self._model, self._photos, self._top_k = connect, model, photos, top_k
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._began_s = 0.0
        self._threads = [
            threading.Thread(target=self._send_all, args=(number,), daemon=True)
            for number in range(connections)
        ]

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.result.seconds = time.monotonic() - self._began_s

    def wait_for_requests(self, count: int, *, timeout_s: float = 60.0) -> None:
        """Return once `count` requests have ended. Raises ServingError when that takes longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self.result.requests < count:
            if time.monotonic() > deadline:
                raise ServingError(
                    f"only {self.result.requests} of {count} requests ended within {timeout_s:.0f} s."
                )
            time.sleep(POLL_S)

    def _send_all(self, number: int) -> None:
        with self._connect() as client:
            for index in itertools.count(number):
                if self._stopping.is_set():
                    break
                sample = self._send(client, index % len(self._photos))
                with self._lock:
                    self.result.samples.append(sample)
        with self._lock:
            self.result.retries += client.retries

    def _send(self, client: Client, photo: int) -> RequestSample:
        due_s = time.monotonic()
        prediction, failure = None, None
        try:
            prediction = client.predict(self._model, self._photos[photo], top_k=self._top_k)
        except RequestError as error:
            failure = type(error).__name__
        return RequestSample(
            due_s=due_s, ended_s=time.monotonic(), photo=photo, failure=failure, prediction=prediction
        )  # fmt: skip


def send_each(target: HttpTarget, photos: Sequence[bytes]) -> list[RequestSample]:
    """Return one sample per photo, sent one after the other."""

    async def send_all() -> list[RequestSample]:
        async with HttpConnection(target) as connection:
            return [
                await _send(connection, target.request(photo), index, time.monotonic())
                for index, photo in enumerate(photos)
            ]

    return asyncio.run(send_all())


def closed_loop(
    target: HttpTarget,
    photos: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    warm_up_s: float = 0.0,
    pause_s: float = 0.0,
) -> LoadResult:
    """Return the requests that ended within `seconds`, after `warm_up_s` that do not count.

    Each connection pauses for `pause_s` before each request. Raises ServerError when no request ended.
    """
    requests = [target.request(photo) for photo in photos]
    samples: list[RequestSample] = []

    async def send(number: int, ends_s: float) -> None:
        async with HttpConnection(target) as connection:
            for index in itertools.count(number * PHOTO_STEP):
                await asyncio.sleep(pause_s)
                if time.monotonic() >= ends_s:
                    return
                photo = index % len(requests)
                samples.append(await _send(connection, requests[photo], photo, time.monotonic()))

    async def send_all(ends_s: float) -> None:
        await asyncio.gather(*(send(number, ends_s) for number in range(connections)))

    begins_s = time.monotonic() + warm_up_s
    asyncio.run(send_all(begins_s + seconds))
    counted = [sample for sample in samples if begins_s <= sample.ended_s < begins_s + seconds]
    return _result(counted, seconds)


def open_loop(
    target: HttpTarget,
    photos: Sequence[bytes],
    *,
    rate_per_s: float,
    seconds: float,
    seed: int = 0,
) -> LoadResult:
    """Return the requests that were due within `seconds`, `rate_per_s` of them per second on average.

    Raises ServerError when no request was due.
    """
    requests = [target.request(photo) for photo in photos]
    samples: list[RequestSample] = []

    async def send_all() -> None:
        idle: list[HttpConnection] = []
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:

            async def send(photo: int, due_s: float) -> None:
                connection = idle.pop() if idle else None
                if connection is None:
                    connection = await stack.enter_async_context(HttpConnection(target))
                samples.append(await _send(connection, requests[photo], photo, due_s))
                idle.append(connection)

            began_s = time.monotonic()
            for index, after_s in enumerate(poisson_arrivals_s(rate_per_s, seconds, seed)):
                await asyncio.sleep(max(0.0, began_s + after_s - time.monotonic()))
                tasks.create_task(send(index % len(requests), began_s + after_s))

    asyncio.run(send_all())
    return _result(samples, seconds)


def poisson_arrivals_s(rate_per_s: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield when each request of an open loop is due, in seconds since its start; the same for the same seed."""
    generator = random.Random(seed)
    due_s = generator.expovariate(rate_per_s)
    while due_s < seconds:
        yield due_s
        due_s += generator.expovariate(rate_per_s)


async def _send(
    connection: HttpConnection, request: bytes, photo: int, due_s: float
) -> RequestSample:
    status = await connection.send(request)
    failure = None if status == OK else CONNECTION_LOST if status is None else f"HTTP {status}"
    return RequestSample(due_s=due_s, ended_s=time.monotonic(), photo=photo, failure=failure)


def _result(samples: list[RequestSample], seconds: float) -> LoadResult:
    if not samples:
        raise ServerError(
            f"no request was answered within {seconds:g} s; give --seconds a larger value."
        )
    return LoadResult(samples=samples, seconds=seconds)
