"""The actor that classifies photos of a folder: one worker process with the archive's own code, on whatever node."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from batch.errors import WorkerError
from batch.pool import PHOTOS_PER_MESSAGE_CPU, PHOTOS_PER_MESSAGE_GPU, in_lists
from batch.processes import Outcome, WorkerProcess
from batch.run import to_photo
from batch.sources import Entry, store_of
from batch.worker import Load
from cluster.archives import extracted_folder


@dataclass(frozen=True, kw_only=True)
class FolderJob:
    """What all actors of a run work with."""

    archive_sha256: str
    model_config: dict[str, Any]
    sources: tuple[str, ...]
    top_k: int


class FolderWorker:
    """Ray keeps the actor, the actor keeps the process: a photo that ends the process costs nobody else anything."""

    def __init__(self, job: FolderJob) -> None:
        self._job = job
        self._per_message = PHOTOS_PER_MESSAGE_CPU

    def load(self) -> None:
        """Load the archive. Raises WorkerError, also where this node does not see the photos."""
        gpu_id = 0 if ray.get_gpu_ids() else None
        if gpu_id is not None:
            self._per_message = PHOTOS_PER_MESSAGE_GPU
        self._check_sources()
        self._process = WorkerProcess(
            Load(
                folder=str(extracted_folder(self._job.archive_sha256)),
                model_config=self._job.model_config,
                gpu_id=gpu_id,
                top_k=self._job.top_k,
                stores=[store_of(source) for source in self._job.sources],
                is_quiet=True,
            )
        )
        self._process.wait_loaded()

    def _check_sources(self) -> None:
        for source in self._job.sources:
            if store_of(source) is None and not os.path.exists(source):
                raise WorkerError(
                    f"the node {ray.util.get_node_ip_address()} has no {source!r}; mount the photos at the same path "
                    "on every node, or name an object store.",
                    exit_code=2,
                )

    def classify(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Return what became of each photo, in their order. Raises WorkerError."""
        return [
            outcome
            for photos in in_lists(map(to_photo, entries), self._per_message)
            for outcome in self._process.classify(photos)
        ]
