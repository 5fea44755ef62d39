"""What interrupted copies have left in a model store, removed."""

import contextlib
import time
from pathlib import Path

from storage.atomic import TEMPORARY_SUFFIX

# A writer that is alive writes more often than this, even to a slow network drive.
LEFTOVER_AFTER_S = 600


def clear_leftovers(model_store: Path) -> None:
    """Remove the incomplete files that interrupted copies have left in the store, once they are old enough.

    Younger ones may be what `headswap export`, `configure` or `sign` is writing now.
    """
    for path in model_store.glob(f".*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            # Every write changes the ctime, and no copy takes it from the original, as it may the modification time.
            if time.time() - path.stat().st_ctime >= LEFTOVER_AFTER_S:
                path.unlink()
