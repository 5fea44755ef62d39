"""Photos through several worker processes, their outcomes in the order of the photos."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from queue import SimpleQueue
from typing import Self

from batch.processes import Outcome, WorkerProcess
from batch.worker import Load, Photo
from serving.client.concurrency import map_in_order

# Photos in one message: few, because a worker that dies makes them wait; enough that messages cost nothing.
PHOTOS_PER_MESSAGE_CPU = 8
# Two of the handler's largest batches.
PHOTOS_PER_MESSAGE_GPU = 64


class WorkerPool:
    """A context manager; the processes end with it, and with the parent however that ends."""

    def __init__(self, loads: list[Load]) -> None:
        self._per_message = PHOTOS_PER_MESSAGE_CPU
        if any(load["gpu_id"] is not None for load in loads):
            self._per_message = PHOTOS_PER_MESSAGE_GPU
        self._loads = loads
        self._stack = ExitStack()
        self._idle: SimpleQueue[WorkerProcess] = SimpleQueue()

    def __enter__(self) -> Self:
        """Start the processes and wait until all have loaded. Raises WorkerError."""
        with ExitStack() as stack:
            workers = []
            for load in self._loads:
                workers.append(WorkerProcess(load))
                stack.callback(workers[-1].close)
            for worker in workers:
                worker.wait_loaded()
                self._idle.put(worker)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def classify(self, photos: Iterable[Photo]) -> Generator[Outcome, None, None]:
        """Yield what became of each photo, in order; the photos are consumed lazily.

        Raises:
            WorkerError: a worker ended, and cannot be started again.
        """
        for outcomes in map_in_order(
            self._classify, in_lists(photos, self._per_message), in_flight=len(self._loads)
        ):
            if isinstance(outcomes, Exception):
                raise outcomes
            yield from outcomes

    def _classify(self, photos: list[Photo]) -> list[Outcome]:
        worker = self._idle.get()
        try:
            return worker.classify(photos)
        finally:
            self._idle.put(worker)


def in_lists(photos: Iterable[Photo], size: int) -> Iterator[list[Photo]]:
    """Yield the photos, `size` at a time."""
    source = iter(photos)
    while photos_now := list(islice(source, size)):
        yield photos_now
