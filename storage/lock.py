"""One process at a time: a lock on an open file, which goes when that is closed or its process ends."""

import fcntl
from typing import IO, Any


def try_lock(file: int | IO[Any]) -> bool:
    """Return whether nobody else holds the lock of the open file; this process does then.

    Also on a file system without locks, as some network mounts are: there the user sees to it that one process works.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
