"""What a promotion is about to do, on the disk before it is done, so that the next command can undo or complete it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.atomic import atomic_write

FILE_NAME = ".promotion.json"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A promotion that has begun."""

    model: str
    version: str
    was_loaded: bool
    """Whether the version was loaded before; then undoing the promotion leaves it loaded."""
    evicted: tuple[str, ...] = ()
    """Versions to be unloaded once this one is live."""


def read_intent(model_store: Path) -> Intent | None:
    """Return the promotion that was begun and not ended; None if there is none."""
    try:
        intent = json.loads((model_store / FILE_NAME).read_text())
        return Intent(**{**intent, "evicted": tuple(intent["evicted"])})
    except (OSError, ValueError, KeyError, TypeError):
        # Absent, or not written by this program. The record says what is live, whatever this file says.
        return None


def begin(model_store: Path, intent: Intent) -> None:
    """Write the intent to the disk. Raises OSError."""
    atomic_write(model_store / FILE_NAME, json.dumps(asdict(intent)), is_durable=True)


def end(model_store: Path) -> None:
    """Forget the intent: it was carried out, or undone."""
    (model_store / FILE_NAME).unlink(missing_ok=True)
