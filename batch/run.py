"""A folder of photos classified on this machine, into a folder of answers."""

from collections import deque
from collections.abc import Callable, Iterator

from batch.output import Chunk, OutputFolder
from batch.pool import WorkerPool
from batch.processes import Outcome
from batch.sources import Entry
from batch.worker import Photo


def to_photo(entry: Entry, *, explain: bool = False, data: bytes | None = None) -> Photo:
    """Return what a worker is asked about the entry."""
    return Photo(name=entry.name, source=entry.source, data=data, explain=explain)


def classify_missing(
    output: OutputFolder, pool: WorkerPool, *, advance: Callable[[int], object]
) -> None:
    """Classify every photo that has no answer in the folder yet; `advance` gets their number as they come.

    Memory holds the chunk that is being written and the few photos that the workers have.

    Raises:
        WorkerError: a worker cannot be started again. OutputError: the folder cannot be written to.
    """
    begun: deque[Chunk] = deque()
    outcomes: list[Outcome] = []
    for outcome in pool.classify(_photos(output, begun)):
        outcomes.append(outcome)
        advance(1)
        if len(outcomes) == len(begun[0][1]):
            output.write(begun.popleft(), outcomes)
            outcomes = []


def _photos(output: OutputFolder, begun: deque[Chunk]) -> Iterator[Photo]:
    """Yield the photos without answers, and append each of their chunks to `begun` with its first photo."""
    for chunk in output.missing():
        begun.append(chunk)
        yield from map(to_photo, chunk[1])
