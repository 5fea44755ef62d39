"""How many worker processes this machine gets for an archive, and what each loads."""

import os
from collections.abc import Sequence

from batch.extraction import RunnableArchive
from batch.sources import store_of
from batch.worker import Load
from handlers.cgroup import cpu_count, usable_memory_bytes
from serving.gpus import count_gpus
from serving.server.memory import SMALLEST_WORKER_BYTES


def count_workers(extracted: RunnableArchive, *, gpus: int, wanted: int | None) -> int:
    """Return `wanted`, else one worker per GPU, else one per CPU as long as the memory suffices; at least 1."""
    if wanted is not None or gpus:
        return wanted or gpus
    # A network in memory takes about what its archive does, which holds it for two engines.
    worker_bytes = SMALLEST_WORKER_BYTES + extracted.archive.path.stat().st_size
    fitting = usable_memory_bytes() // worker_bytes
    return max(1, min(cpu_count() // _threads(extracted), fitting))


def plan_loads(
    extracted: RunnableArchive, sources: Sequence[str], *, top_k: int, workers: int | None
) -> list[Load]:
    """Return what each worker of this machine loads. Raises GpuNameError."""
    gpus = count_gpus(os.environ)
    return [
        Load(
            folder=str(extracted.folder),
            model_config=extracted.model_config,
            gpu_id=index % gpus if gpus else None,
            top_k=top_k,
            stores=[store_of(source) for source in sources],
            is_quiet=index > 0,
        )
        for index in range(count_workers(extracted, gpus=gpus, wanted=workers))
    ]


def _threads(extracted: RunnableArchive) -> int:
    """Return how many threads each worker computes with; the handler refuses what is not a number above 0."""
    section = extracted.model_config.get("handler")
    wanted = section.get("threads_per_worker") if isinstance(section, dict) else None
    return wanted if isinstance(wanted, int) and 0 < wanted <= cpu_count() else 1
