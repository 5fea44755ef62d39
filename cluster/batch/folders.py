"""Folders of photos classified by a pool of Ray actors, into the same folder of answers as on one machine.

Actors, not Ray Data: to go on where it was, Ray Data (2.60, ray.data.checkpoint) keeps the id of every finished row in
the memory of the head node and of each filter actor, and it lists all files before it begins. Here the driver hands
out chunks of a list on disk and writes the part of each, so memory does not grow with the number of photos, and a chunk
is done exactly when its part is there.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from batch.errors import WorkerError
from batch.output import Chunk, OutputFolder
from cluster.application import connected
from cluster.archives import give
from cluster.batch.folder_worker import FolderJob, FolderWorker
from serving.archive.reader import Archive
from serving.archive.repack import read_model_config

# Of each actor: while it computes one, the next is on its way.
CHUNKS_PER_ACTOR = 2
# A chunk that has ended this many actors ends the run: nodes come and go, but not for one chunk alone.
ATTEMPTS_MAX = 3
# Nodes that join are used from then on.
GROW_INTERVAL_S = 10.0
WAIT_S = 1.0


def classify_missing_on_cluster(
    output: OutputFolder,
    archive: Archive,
    *,
    address: str,
    workers: int | None,
    advance: Callable[[int], object],
) -> None:
    """Classify every photo that has no answer in the folder yet; `advance` gets their number as they come.

    There are `workers` actors, else one per GPU of the cluster, else one per CPU; those that find no free one wait.

    Raises:
        ClusterAddressError: no cluster answers there. WorkerError: an actor cannot load the archive, or a chunk ends
        actor after actor. OutputError: the folder cannot be written to.
    """
    with connected(address):
        give(archive)
        options = output.options
        job = FolderJob(
            archive_sha256=archive.sha256,
            model_config=read_model_config(archive.path),
            sources=options.sources,
            top_k=options.top_k,
        )
        crew = _Crew(job, workers=workers)
        for chunk, outcomes in crew.classify(output.missing()):
            output.write(chunk, outcomes)
            advance(len(outcomes))


class _Crew:
    """The actors, and which chunks they have."""

    def __init__(self, job: FolderJob, *, workers: int | None) -> None:
        self._job = job
        self._workers = workers
        self._loading: dict[Any, Any] = {}
        """Actors by the reference that is ready once they have loaded."""
        self._ready: dict[Any, int] = {}
        """How many chunks each loaded actor has."""
        self._busy: dict[Any, tuple[Any, Chunk]] = {}
        """Actor and chunk by the reference of the answers."""
        self._returned: deque[Chunk] = deque()
        """Chunks of actors that are gone."""
        self._attempts: dict[int, int] = {}
        self._died_loading = 0
        """In a row."""
        self._grown_at = -GROW_INTERVAL_S

    def classify(self, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, list[Any]]]:
        """Yield each chunk with the outcomes of its photos, in the order in which they are done. Raises WorkerError."""
        while self._hand_out(chunks) or self._busy or self._returned:
            self._grow()
            finished, _ = ray.wait([*self._loading, *self._busy], timeout=WAIT_S)
            for reference in finished:
                yield from self._take(reference)

    def _hand_out(self, chunks: Iterator[Chunk]) -> bool:
        """Give chunks to actors that have too few; return whether there may be more to give."""
        while True:
            actor = min(self._ready, key=self._ready.__getitem__, default=None)
            if actor is None or self._ready[actor] >= CHUNKS_PER_ACTOR:
                return True
            chunk = self._returned.popleft() if self._returned else next(chunks, None)
            if chunk is None:
                return False
            self._ready[actor] += 1
            self._busy[actor.classify.remote(chunk[1])] = (actor, chunk)

    def _take(self, reference: Any) -> Iterator[tuple[Chunk, list[Any]]]:
        """Yield what the reference has brought: a chunk's outcomes, or nothing of an actor that has loaded or died."""
        loading = self._loading.pop(reference, None)
        actor, chunk = (loading, None) if loading is not None else self._busy.pop(reference)
        try:
            outcomes = ray.get(reference)
        except RayActorError:
            self._lose(actor, chunk)
            return
        except RayTaskError as error:
            raise _cause(error) from None
        if chunk is None:
            self._died_loading = 0
            self._ready[actor] = 0
        else:
            self._ready[actor] -= 1
            yield chunk, outcomes

    def _lose(self, actor: Any, chunk: Chunk | None) -> None:
        """Take the chunk of an actor that died with its node back; another actor is started in its place."""
        self._ready.pop(actor, None)
        self._grown_at = -GROW_INTERVAL_S
        if chunk is None:
            self._died_loading += 1
            if self._died_loading == ATTEMPTS_MAX:
                raise WorkerError(
                    f"{ATTEMPTS_MAX} actors died while they loaded the archive; the logs of Ray say why, often it is "
                    "want of memory: fewer --workers need less."
                )
            return
        self._returned.append(chunk)
        number = chunk[0]
        self._attempts[number] = self._attempts.get(number, 0) + 1
        if self._attempts[number] == ATTEMPTS_MAX:
            raise WorkerError(
                f"{ATTEMPTS_MAX} actors died while they classified the {len(chunk[1])} photos from "
                f"{chunk[1][0].name!r} on; the logs of Ray say why, often it is want of memory."
            )

    def _grow(self) -> None:
        """Start actors for what the cluster has and no actor uses yet."""
        if time.monotonic() - self._grown_at < GROW_INTERVAL_S:
            return
        self._grown_at = time.monotonic()
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        wanted = self._workers or gpus or int(resources.get("CPU", 0)) or 1
        actor_type = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0)(FolderWorker)
        for _ in range(wanted - len(self._ready) - len(self._loading)):
            actor = actor_type.remote(self._job)
            self._loading[actor.load.remote()] = actor


def _cause(error: RayTaskError) -> Exception:
    """Return the error that was raised in the actor, without Ray's traceback."""
    cause = error.cause
    return cause if isinstance(cause, Exception) else WorkerError(str(error))
