"""Throughput of the cores without a server: decode, preprocess and compute in a loop, one process per core."""

import itertools
import multiprocessing
import os
import statistics
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

from benchmarks.errors import BenchmarkError

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Barrier

WARM_UP = 5
# Importing and loading, on slow disks too.
START_TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    photos_per_s: float
    """All processes together."""
    median_ms: float
    """Latency of one photo while all processes run."""


def measure(archive: Path, photo_list: Path, *, processes: int, seconds: float) -> Ceiling:
    """Return the figures of `processes` loops over the photos for `seconds`, each on one thread.

    Raises BenchmarkError when one fails.
    """
    folder = _unpacked(archive)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    results: Queue[list[float]] = context.Queue()
    workers = [
        context.Process(target=_loop, args=(folder, photo_list, seconds, barrier, results))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    try:
        latencies = [results.get(timeout=seconds + START_TIMEOUT_S) for _ in workers]
    except Empty:
        raise BenchmarkError(
            "an in-process measurement failed; its error is printed above"
        ) from None
    for worker in workers:
        worker.join()
    latencies_ms = [latency for process in latencies for latency in process]
    return Ceiling(
        photos_per_s=len(latencies_ms) / seconds, median_ms=statistics.median(latencies_ms)
    )


def _unpacked(archive: Path) -> Path:
    folder = archive.with_suffix("")
    if not folder.exists():
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    return folder


def _loop(
    folder: Path,
    photo_list: Path,
    seconds: float,
    barrier: "Barrier",
    results: "Queue[list[float]]",
) -> None:
    # Set here, because children of the parent would inherit it; the libraries imported below read it.
    os.environ["OMP_NUM_THREADS"] = "1"
    from handlers.engines.pipelines import choose_pipeline
    from handlers.extracted import open_extracted
    from handlers.images.loaders import EncodedPhoto, Timings
    from handlers.settings import HandlerSettings

    pipeline = choose_pipeline(
        open_extracted(folder), HandlerSettings.from_model_config(None), gpu_id=None
    )
    photos = [Path(line).read_bytes() for line in photo_list.read_text().splitlines()]
    for photo in photos[:WARM_UP]:
        pipeline.classify([EncodedPhoto(photo)], Timings())
    barrier.wait()
    latencies_ms = []
    ends = time.perf_counter() + seconds
    for photo in itertools.cycle(photos):
        began = time.perf_counter()
        if began >= ends:
            break
        pipeline.classify([EncodedPhoto(photo)], Timings())
        latencies_ms.append((time.perf_counter() - began) * 1e3)
    results.put(latencies_ms)
