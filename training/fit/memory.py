"""Memory of one step is kept for the next, where the processor trains.

glibc hands every freed tensor of more than 32 MB back to the kernel, and the next step asks for it
again: the kernel clears each page anew. A ResNet-18 at 224 px and 32 photos a step takes 71 ms a
photo with its memory kept and 75 without, and holds 2.3 GB at most instead of 2.0 (two cores).
"""

import ctypes

# glibc's mallopt: how much free memory at the end of the heap is handed back (-1: none), and how
# many tensors may lie outside of the heap.
TRIM_THRESHOLD, MMAP_COUNT_MAX = -1, -4


def keep_freed_memory() -> None:
    """Have this process keep what it frees. Does nothing where the C library is not glibc."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    set_option(TRIM_THRESHOLD, -1)
    set_option(MMAP_COUNT_MAX, 0)
