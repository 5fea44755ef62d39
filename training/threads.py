"""Threads of a training process: no more than its CPU quota lets compute at once."""

from concurrent.futures import ThreadPoolExecutor

import torch

from handlers.cgroup import cpu_count

# Python's own numbers, which count the host's CPUs: a few threads more than CPUs, because reading a file waits.
EXTRA_THREADS = 4
THREADS_MAX = 32


def limit_torch_threads() -> None:
    """Have PyTorch compute with no more threads than CPUs; fewer, as torchrun and OMP_NUM_THREADS ask for, stay.

    PyTorch counts the CPUs of the host. Threads beyond a container's quota use it up early in each period of 100 ms,
    and then all of them wait for the next.
    """
    if torch.get_num_threads() > cpu_count():
        torch.set_num_threads(cpu_count())


def file_threads() -> ThreadPoolExecutor:
    """Return a pool that reads and decodes files; both release the GIL."""
    return ThreadPoolExecutor(min(THREADS_MAX, cpu_count() + EXTRA_THREADS))
