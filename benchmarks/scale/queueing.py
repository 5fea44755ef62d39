"""A model of latency at a given load: workers take up to B waiting photos each, on cores that they share.

A latency is the sum of `overhead_ms`, spent outside the workers, a wait, and a worker's time. The first photo of a
batch takes a worker as long as a photo alone, each further one `further_share` of that. When k workers are busy at
once, everything takes `slowdowns[k - 1]` times as long, because they share cores and memory. A worker that was idle
takes `rest_slowdown` times as long for its first photo, because its caches are cold and the clock is low. Requests come
as a Poisson process. No closed form covers this queue, so it is simulated, event by event. The mean wait of the plain
queue without batches is approximated after Allen and Cunneen (A. O. Allen, Probability, Statistics and Queueing Theory,
1990), which is enough to size a fleet.
"""

import math
import random
import statistics
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.errors import BenchmarkError

WARM_UP_SHARE = 0.05
LEAST_WORK_MS = 0.01
# A larger overhead is a measurement error: a photo's own work is most of its latency.
LARGEST_OVERHEAD_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Service:
    photo_ms: tuple[float, ...]
    """A sample of the latency of one photo, with the mean of photos that are alone."""
    overhead_ms: float = 0.0
    """Part of each latency during which no worker is busy with the photo: frontend and network."""
    rest_slowdown: float = 1.0
    """How many times as long the first photo takes after an idle time."""
    delay_ms: float = 0.0
    """How long an incomplete batch waits for more photos."""
    further_share: float
    """Time of each further photo in a batch, as a share of the time of a photo alone."""
    slowdowns: tuple[float, ...]
    """How many times as long everything takes when 1, 2, ... workers are busy; the first is 1."""
    batch_size: int

    @property
    def capacity_per_s(self) -> float:
        """Return the photos per second of workers that are always busy with full batches."""
        batch = 1 + (self.batch_size - 1) * self.further_share
        batch_ms = statistics.fmean(self.work_ms) * batch * self.slowdowns[-1]
        return 1e3 * len(self.slowdowns) * self.batch_size / batch_ms

    @property
    def work_ms(self) -> list[float]:
        """Return how long each photo of the sample kept a worker busy."""
        return [max(LEAST_WORK_MS, latency_ms - self.overhead_ms) for latency_ms in self.photo_ms]


def fit_service(
    alone_ms: Sequence[Sequence[float]],
    *,
    rested_ms: Sequence[float],
    single_capacity_per_s: float,
    capacity_per_s: float,
    batch_size: int,
    delay_ms: float = 0.0,
) -> Service:
    """Return the service that fits these measurements.

    `alone_ms[k - 1]` are latencies of k connections without batches, k up to the number of workers, so that no request
    waits for another or shares a batch with it. Those of the last show how much a photo's time varies when all workers
    are busy, which is more than when one is. `rested_ms` are those of one connection that pauses before each photo.
    `single_capacity_per_s` was measured without batches and with more connections than workers, `capacity_per_s` with
    enough connections to fill every batch.

    The capacity of workers that are always busy shows how long a photo keeps one busy; the rest of a latency is
    overhead.

    Raises:
        BenchmarkError: measurements are missing or not above 0.
    """
    capacities = (single_capacity_per_s, capacity_per_s)
    samples = (*alone_ms, rested_ms)
    given = (*capacities, batch_size, *(latency_ms for sample in samples for latency_ms in sample))
    if not alone_ms or not all(samples) or min(given) <= 0:
        raise BenchmarkError(
            "every latency and capacity that a service is fitted to must be above 0, and none may be missing."
        )
    workers = len(alone_ms)
    mean_ms = [statistics.fmean(sample) for sample in alone_ms]
    overhead_ms = mean_ms[-1] - 1e3 * workers / single_capacity_per_s
    overhead_ms = min(max(0.0, overhead_ms), LARGEST_OVERHEAD_SHARE * min(mean_ms))
    work_ms = [latency_ms - overhead_ms for latency_ms in mean_ms]
    slowdowns = tuple(max(1.0, busy_ms / work_ms[0]) for busy_ms in work_ms)
    rested = (statistics.fmean(rested_ms) - overhead_ms) / work_ms[0]
    photo_ms = tuple(
        overhead_ms + (latency_ms - overhead_ms) / slowdowns[-1] for latency_ms in alone_ms[-1]
    )
    single = Service(
        photo_ms=photo_ms, overhead_ms=overhead_ms, rest_slowdown=max(1.0, rested),
        further_share=1.0, slowdowns=slowdowns, batch_size=1,
    )  # fmt: skip
    if batch_size == 1:
        return single
    full_ms = 1e3 * workers * batch_size / capacity_per_s / slowdowns[-1]
    share = max(0.0, (full_ms / statistics.fmean(single.work_ms) - 1) / (batch_size - 1))
    return replace(single, further_share=share, batch_size=batch_size, delay_ms=delay_ms)


def simulate(
    service: Service, *, rate_per_s: float, requests: int = 20_000, seed: int = 0
) -> list[float]:
    """Return the latencies in milliseconds of `requests` requests, less a warm-up, in the order of their answers.

    Raises:
        BenchmarkError: the rate is not above 0.
    """
    if rate_per_s <= 0:
        raise BenchmarkError(f"the rate must be above 0, not {rate_per_s:g}.")
    latencies_ms = replay(service, _poisson_ms(rate_per_s, requests, seed), seed=seed)
    return latencies_ms[int(WARM_UP_SHARE * requests) :]


def replay(service: Service, due_ms: Iterable[float], *, seed: int = 0) -> list[float]:
    """Return the latencies in milliseconds of requests that arrive at `due_ms`, ascending."""
    return _Queue(service, random.Random(seed)).run(due_ms)


def _poisson_ms(rate_per_s: float, requests: int, seed: int) -> Iterator[float]:
    # A generator of its own: draws of service times must not move the arrivals.
    generator = random.Random(f"arrivals {seed}")
    due_ms = 0.0
    for _ in range(requests):
        due_ms += generator.expovariate(rate_per_s / 1e3)
        yield due_ms


def allen_cunneen_wait_ms(
    *, servers: int, service_ms: float, rate_per_s: float, variation: float
) -> float:
    """Return the mean wait before service in milliseconds; infinite where the servers cannot keep up.

    `variation` is the squared coefficient of variation of the service time; arrivals are Poisson.
    """
    load = rate_per_s * service_ms / 1e3
    if load >= servers:
        return math.inf
    waits = erlang_c(servers, load)
    return waits * service_ms / (servers - load) * (1 + variation) / 2


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that a request has to wait; `load` in busy servers (erlangs), below `servers`."""
    # Erlang's B by its recurrence: the formula's factorials overflow.
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


@dataclass(kw_only=True)
class _Batch:
    due_ms: list[float]
    left_ms: float
    """Work left, in milliseconds of a worker that is busy alone."""


@dataclass
class _Queue:
    service: Service
    random: random.Random
    now_ms: float = 0.0
    waiting: deque[float] = field(default_factory=deque)
    busy: list[_Batch] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._work_ms = self.service.work_ms

    def run(self, due_ms: Iterable[float]) -> list[float]:
        for arrives_ms in due_ms:
            while self.busy and self._next_end_ms() <= arrives_ms:
                self._end_next()
            self._pass_time(arrives_ms)
            self.waiting.append(arrives_ms)
            self._begin(is_rested=True)
        while self.busy:
            self._end_next()
        return self.latencies_ms

    @property
    def _slowdown(self) -> float:
        return self.service.slowdowns[len(self.busy) - 1]

    def _next_end_ms(self) -> float:
        return self.now_ms + min(batch.left_ms for batch in self.busy) * self._slowdown

    def _pass_time(self, until_ms: float) -> None:
        if self.busy:
            done_ms = (until_ms - self.now_ms) / self._slowdown
            for batch in self.busy:
                batch.left_ms -= done_ms
        self.now_ms = until_ms

    def _end_next(self) -> None:
        self._pass_time(self._next_end_ms())
        ended = min(self.busy, key=lambda batch: batch.left_ms)
        self.busy.remove(ended)
        overhead_ms = self.service.overhead_ms
        self.latencies_ms += [self.now_ms - due_ms + overhead_ms for due_ms in ended.due_ms]
        self._begin()

    def _begin(self, *, is_rested: bool = False) -> None:
        if self.waiting and len(self.busy) < len(self.service.slowdowns):
            count = min(len(self.waiting), self.service.batch_size)
            due_ms = [self.waiting.popleft() for _ in range(count)]
            first_ms, *further_ms = self.random.choices(self._work_ms, k=count)
            left_ms = first_ms * (self.service.rest_slowdown if is_rested else 1)
            left_ms += self.service.further_share * sum(further_ms)
            if count < self.service.batch_size:
                left_ms += self.service.delay_ms
            self.busy.append(_Batch(due_ms=due_ms, left_ms=left_ms))
