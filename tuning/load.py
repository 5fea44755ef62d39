"""Requests for a server on this machine, cheap enough to leave it the cores: one thread, bytes made beforehand.

Closed loop: so many connections, each asks again as soon as it is answered. Open loop: requests come when they come,
as a Poisson process has them, and a latency counts from the moment a request was due, not from when it was sent.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serving.rollout.gates import percentile
from tuning.errors import TuningError

TIMEOUT_S = 60.0
PAUSE_S = 0.05
OK = 200
LOST = 0


@dataclass(frozen=True, kw_only=True)
class Target:
    host: str
    port: int
    path: str
    """/predictions/NAME"""
    token: str | None = None

    def request(self, photo: bytes) -> bytes:
        """Return the bytes of the HTTP request that asks for a photo."""
        authorization = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n{authorization}"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(photo)}\r\n\r\n"
        )
        return head.encode("ascii") + photo


@dataclass(frozen=True, kw_only=True)
class RequestSample:
    """One request. Times of time.perf_counter()."""

    due_s: float
    ended_s: float
    status: int
    """HTTP's; 0 where the connection broke."""

    @property
    def latency_ms(self) -> float:
        return (self.ended_s - self.due_s) * 1e3


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What a measurement saw, after its warm-up."""

    per_s: float
    """Answers a second."""
    latencies_ms: tuple[float, ...]
    """Of the answered requests."""
    failed: int

    def p(self, share: float) -> float:
        return percentile(self.latencies_ms, share)


def ask_each(target: Target, photos: Sequence[bytes]) -> list[int]:
    """Return the status of each photo, asked one after the other; 0 where the connection broke."""

    async def ask_all() -> list[int]:
        async with _Connection(target) as connection:
            requests = map(target.request, photos)
            return [(await connection.ask(one, _now())).status for one in requests]

    return asyncio.run(ask_all())


def closed_loop(
    target: Target,
    photos: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    warm_up_s: float = 0.0,
    pause_s: float = 0.0,
) -> LoadResult:
    """Return what so many connections got through in `seconds`, after `warm_up_s` that do not count.

    Each pauses for `pause_s` before it asks.
    """
    requests = [target.request(photo) for photo in photos]
    shots: list[RequestSample] = []

    async def ask(number: int, ends_s: float) -> None:
        async with _Connection(target) as connection:
            for index in itertools.count(number * 7):
                await asyncio.sleep(pause_s)
                if _now() >= ends_s:
                    return
                shots.append(await connection.ask(requests[index % len(requests)], _now()))

    async def ask_all(ends_s: float) -> None:
        await asyncio.gather(*(ask(number, ends_s) for number in range(connections)))

    begins_s = _now() + warm_up_s
    asyncio.run(ask_all(begins_s + seconds))
    counted = [one for one in shots if begins_s <= one.ended_s < begins_s + seconds]
    return _seen(counted, seconds)


def open_loop(
    target: Target, photos: Sequence[bytes], *, rate_per_s: float, seconds: float, seed: int = 0
) -> LoadResult:
    """Return what became of the requests that were due within `seconds`, `rate_per_s` of them a second on average."""
    requests = [target.request(photo) for photo in photos]
    shots: list[RequestSample] = []

    async def ask_all() -> None:
        idle: list[_Connection] = []
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:

            async def ask(request: bytes, due_s: float) -> None:
                connection = idle.pop() if idle else None
                if connection is None:
                    connection = await stack.enter_async_context(_Connection(target))
                shots.append(await connection.ask(request, due_s))
                idle.append(connection)

            began_s = _now()
            for index, after_s in enumerate(poisson_arrivals_s(rate_per_s, seconds, seed)):
                await asyncio.sleep(max(0.0, began_s + after_s - _now()))
                tasks.create_task(ask(requests[index % len(requests)], began_s + after_s))

    asyncio.run(ask_all())
    return _seen(shots, seconds)


def poisson_arrivals_s(rate_per_s: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield when each request of an open loop is due, in seconds since its start: the same for the same seed."""
    generator = random.Random(seed)
    due_s = generator.expovariate(rate_per_s)
    while due_s < seconds:
        yield due_s
        due_s += generator.expovariate(rate_per_s)


class _Connection:
    """A connection that is kept; opened anew after it broke."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> "_Connection":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def ask(self, request: bytes, due_s: float) -> RequestSample:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._ask(request)
        except (OSError, EOFError, TimeoutError, ValueError, LookupError):
            await self._close()
            # A server that is gone refuses thousands of connections a second.
            await asyncio.sleep(PAUSE_S)
            status = LOST
        return RequestSample(due_s=due_s, ended_s=_now(), status=status)

    async def _ask(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._target.host, self._target.port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").lower().splitlines()
        headers = dict(line.split(":", 1) for line in lines if ":" in line)
        await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "").strip() == "close":
            await self._close()
        return int(status_line.split()[1])

    async def _close(self) -> None:
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _seen(shots: Sequence[RequestSample], seconds: float) -> LoadResult:
    answered = tuple(one.latency_ms for one in shots if one.status == OK)
    if not shots:
        raise TuningError(f"no request was answered within {seconds:g} s; give --seconds more.")
    return LoadResult(
        per_s=len(answered) / seconds, latencies_ms=answered, failed=len(shots) - len(answered)
    )


def _now() -> float:
    return time.perf_counter()
