"""Memory that a server takes on the host and on its GPUs."""

import subprocess

import psutil

from handlers.cgroup import memory_left_bytes
from serving.server.memory import process_bytes

NVIDIA_SMI_TIMEOUT_S = 20.0
QUERY = ("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")


def host_memory_mb(pid: int) -> float:
    """Return the memory of a process and its descendants; a page that several of them share counts once."""
    root = psutil.Process(pid)
    return sum(process_bytes(each.pid) for each in [root, *root.children(recursive=True)]) / 1e6


def free_memory_mb() -> float:
    """Return the memory that can still be taken without swapping, and within the limit of the cgroup."""
    free = int(psutil.virtual_memory().available)
    left = memory_left_bytes()
    return (free if left is None else min(free, left)) / 1e6


def gpu_memory_mb() -> float | None:
    """Return the used memory of all GPUs together, by any process; None where nvidia-smi does not answer."""
    try:
        done = subprocess.run(
            QUERY, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S, check=True
        )
        return sum(float(line) for line in done.stdout.splitlines()) * 1.048576
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
