"""How many of the processor's threads compute a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Handing a small step from thread to thread costs more than the second thread saves, and stalls it where others
# compute beside it. On two cores, 1 against 2 threads, ms a step of a head: of 0.16 M multiplications 0.63 and 0.82,
# of 6.6 M 1.16 and 1.32, of 82 M 5.6 and 3.7.
SHARED_MULTIPLICATIONS = 16_000_000


@contextmanager
def one_thread_for(multiplications: int) -> Iterator[None]:
    """Compute with a single thread inside if one pass forward takes so few multiplications."""
    if multiplications >= SHARED_MULTIPLICATIONS:
        yield
        return
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)
