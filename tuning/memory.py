"""Memory that a server takes on the host and on its GPUs."""

import contextlib
import subprocess

import psutil

NVIDIA_SMI_TIMEOUT_S = 20.0
QUERY = ("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")


def host_memory_mb(pid: int) -> float:
    """Return the memory of a process and its descendants; a page that several of them share counts once."""
    root = psutil.Process(pid)
    return sum(map(_own_bytes, [root, *root.children(recursive=True)])) / 1e6


def free_memory_mb() -> float:
    """Return the memory that can still be taken without swapping."""
    return float(psutil.virtual_memory().available) / 1e6


def gpu_memory_mb() -> float | None:
    """Return the used memory of all GPUs together, by any process; None where nvidia-smi does not answer."""
    try:
        done = subprocess.run(
            QUERY, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S, check=True
        )
        return sum(float(line) for line in done.stdout.splitlines()) * 1.048576
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _own_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        try:
            return int(process.memory_full_info().pss)
        except (psutil.AccessDenied, AttributeError):
            return int(process.memory_info().rss)
    return 0
