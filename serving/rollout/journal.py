"""What a promotion is about to do, on the disk before it is done, so that the next command can undo or complete it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
        return parse_intent(json.loads((model_store / FILE_NAME).read_text()))
    except (OSError, ValueError):
        return None


def parse_intent(content: Any) -> Intent | None:
    """Return the intent whose fields these are; None if this program did not write them, for the record counts."""
    try:
        return Intent(**{**content, "evicted": tuple(content["evicted"])})
    except (KeyError, TypeError):
        return None


def begin(model_store: Path, intent: Intent) -> None:
    """Write the intent to the disk. Raises OSError."""
    atomic_write(model_store / FILE_NAME, json.dumps(asdict(intent)), is_durable=True)


def end(model_store: Path) -> None:
    """Forget the intent: it was carried out, or undone."""
    (model_store / FILE_NAME).unlink(missing_ok=True)
