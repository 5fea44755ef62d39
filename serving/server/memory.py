"""Whether the workers fit into the memory that the server may use: the host's, or its container's limit."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

# Private memory of a worker on a CPU once it has answered its probes, measured with a network of 0.2 MB; with ResNet-18
# at 96 px it was 371 MB.
SMALLEST_WORKER_BYTES = 320_000_000


@dataclass(frozen=True, kw_only=True)
class LoadedWorkers:
    """The workers of one loaded version."""

    count: int
    worker_bytes: int
    """Of the largest of them."""


def process_bytes(pid: int) -> int:
    """Return the memory of a process; what it shares counts in part (PSS, where it may be read). 0 if it is gone."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        try:
            return int(process.memory_full_info().pss)
        except (psutil.AccessDenied, AttributeError):
            return int(process.memory_info().rss)
    return 0


def warn_before_start(workers: int, *, usable_bytes: int) -> str | None:
    """Return a warning if even the smallest workers do not fit; None if they may."""
    if workers * SMALLEST_WORKER_BYTES <= usable_bytes:
        return None
    return (
        f"memory: {workers} workers take {_gb(workers * SMALLEST_WORKER_BYTES)} or more, but this server may use "
        f"{_gb(usable_bytes)}; {_advice(usable_bytes // SMALLEST_WORKER_BYTES, is_exact=False)}"
    )


def find_shortage(
    versions: Sequence[LoadedWorkers], *, server_bytes: int, usable_bytes: int
) -> str | None:
    """Return a warning if the loaded workers do not fit, or not with those that a promotion adds; None if they do.

    `server_bytes` is the memory of the server without its workers.
    """
    if not versions:
        return None
    loaded = sum(each.count * each.worker_bytes for each in versions)
    largest = max(versions, key=lambda each: each.count * each.worker_bytes)
    added = largest.count * largest.worker_bytes
    per_worker = sum(each.worker_bytes for each in versions)
    left = max(0, usable_bytes - server_bytes)
    rest = f"and {_gb(server_bytes)} for the server"
    if loaded > left:
        return (
            f"memory: {_described(versions)} {rest} are {_gb(loaded + server_bytes)}, but it may use "
            f"{_gb(usable_bytes)}; {_advice(left // per_worker)}"
        )
    if loaded + added > left:
        return (
            f"memory: a promotion loads another {largest.count} workers of {_gb(largest.worker_bytes)} beside these, "
            f"which makes {_gb(loaded + added + server_bytes)}, but this server may use {_gb(usable_bytes)}; "
            f"{_advice(left // (per_worker + largest.worker_bytes))}"
        )
    return None


def _described(versions: Sequence[LoadedWorkers]) -> str:
    return ", ".join(f"{each.count} workers of {_gb(each.worker_bytes)}" for each in versions)


def _advice(fitting: int, *, is_exact: bool = True) -> str:
    if fitting < 1:
        return "not even one per version fits, so raise the limit."
    number = f"{fitting} per version fit" if is_exact else f"{fitting} at most fit"
    return f"{number}: set default_workers_per_model={fitting} in the configuration, or raise the limit."


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
