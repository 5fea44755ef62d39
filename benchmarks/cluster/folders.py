"""Photos per second and memory of `headswap predict --out`: on this machine, on a Ray cluster of one node and of two.

    python -m benchmarks.cluster.folders
    python -m benchmarks.cluster.folders --archive model_store/clothing-1.0.mar --count 5000

Without --archive the network is the mean colour, which costs nothing: the figures are those of everything else, and
50,000 photos take minutes. The folder holds `--count` links to the photos of --photos. Each node of the local cluster
has one CPU, so with two cores the second node adds one; with fewer cores than nodes its figure means nothing. The
places take turns for `--rounds`. The rate, of which the median and the spread count, is that from the first part to
90 %: starting, loading, listing and ending are left out. Memory is the resident memory of the command, and of the
largest process that classifies for it, when 10, 50 and 90 % of the photos of the last round are done. Results go to
benchmarks/results/folders.json.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import tyro
from ray.cluster_utils import Cluster

from benchmarks.measurements import ROOT, merge, result_file
from headswap.batch_options import BatchOptions
from photo_folder.photos import find_photos
from tests.integration.batch.conftest import write_archive

Place = Literal["here", "1 node", "2 nodes"]
HEADSWAP = Path(sys.executable).with_name("headswap")
OBJECT_STORE_BYTES = 200_000_000
SHARES = (0.1, 0.5, 0.9)
POLL_S = 0.5
# Of batch/worker.py, which the command's own processes and those of the actors run.
WORKER = "batch/worker.py"


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: Path | None = None
    photos: Path = ROOT / "sample_data" / "clothing"
    count: int = 50_000
    photos_per_file: int = BatchOptions.photos_per_file
    rounds: int = 1
    places: tuple[Place, ...] = ("here", "1 node", "2 nodes")
    results: Path = result_file("folders")


def main() -> int:
    """Return the exit code."""
    command = tyro.cli(Command, description=__doc__)
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        archive = command.archive or write_archive(Path(work, "colours-1.0.mar"))
        folder = _links(Path(work, "photos"), command)
        rates: dict[Place, list[float]] = {place: [] for place in command.places}
        for number in range(command.rounds):
            # Reversed in every other round, so that a machine that slows down treats all alike.
            for place in command.places[:: -1 if number % 2 else 1]:
                with _cluster(place) as options:
                    out = Path(work, f"{place} {number}")
                    arguments = [folder, "--archive", archive, "--out", out, *options]
                    rate, memory_mb = _measure(command, arguments, out)
                rates[place].append(rate)
                sys.stderr.write(f"{place}: {rate:.1f} photos/s\n")
                _write(command, place, rates[place], memory_mb)
    return 0


def _write(
    command: Command, place: Place, rates: list[float], memory_mb: dict[str, dict[str, float]]
) -> None:
    network = "mean colour" if command.archive is None else command.archive.stem
    figures = {
        "photos": command.count,
        "rounds": len(rates),
        "photos_per_s": round(statistics.median(rates), 1),
        "spread": [round(min(rates), 1), round(max(rates), 1)],
        "memory_mb": memory_mb,
    }
    merge(f"{command.count} photos, {network}, {place}", figures, command.results)


def _links(folder: Path, command: Command) -> Path:
    """Return a folder of `count` links, 1,000 in each subfolder."""
    photos = find_photos(command.photos).paths
    for number in range(command.count):
        subfolder = folder / f"{number // 1000:06}"
        subfolder.mkdir(parents=True, exist_ok=True)
        photo = photos[number % len(photos)]
        (subfolder / f"{number}{photo.suffix}").symlink_to(photo.resolve())
    return folder


@contextmanager
def _cluster(place: Place) -> Iterator[list[str]]:
    """Yield the options that choose the place."""
    if place == "here":
        yield []
        return
    node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        if place == "2 nodes":
            cluster.add_node(**node)
        yield ["--cluster", cluster.address]
    finally:
        cluster.shutdown()


def _measure(
    command: Command, arguments: list[Any], out: Path
) -> tuple[float, dict[str, dict[str, float]]]:
    """Return photos per second, and the memory by the share that was done."""
    files = ["--photos-per-file", str(command.photos_per_file)]
    process = subprocess.Popen(
        [HEADSWAP, "predict", *map(str, arguments), *files],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    parts = -(-command.count // command.photos_per_file)
    memory_mb: dict[str, dict[str, float]] = {}
    first: tuple[float, int] | None = None
    last = 0.0, 0
    while process.poll() is None:
        done = len(list(out.glob("part-*")))
        if done and first is None:
            first = time.monotonic(), done
        for share in SHARES:
            if done >= share * parts and f"{share:.0%}" not in memory_mb:
                memory_mb[f"{share:.0%}"] = _memory_mb(process.pid)
                last = time.monotonic(), done
        time.sleep(POLL_S)
    if process.returncode != 0 or first is None:
        raise SystemExit(f"headswap predict ended with exit code {process.returncode}")
    photos = (last[1] - first[1]) * command.photos_per_file
    return photos / (last[0] - first[0]), memory_mb


def _memory_mb(pid: int) -> dict[str, float]:
    """Return the resident memory of the command, and of the largest process that classifies."""
    workers = [
        process
        for process in psutil.Process(os.getpid()).children(recursive=True)
        if any(part.endswith(WORKER) for part in _command_line(process))
    ]
    return {
        "command": _resident_mb(psutil.Process(pid)),
        "largest worker": max((_resident_mb(worker) for worker in workers), default=0.0),
    }


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _resident_mb(process: psutil.Process) -> float:
    try:
        return round(process.memory_info().rss / 1e6, 1)
    except psutil.Error:
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
