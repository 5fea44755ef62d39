"""What a promotion is about to do, on the disk before it is done: the next command undoes what a killed one left."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = ".promotion.json"


@dataclass(frozen=True, kw_only=True)
class Intent:
    model: str
    version: str
    was_loaded: bool
    """Before the promotion: then undoing it leaves the version loaded."""
    evicted: tuple[str, ...] = ()
    """Versions to be unloaded once this one is live."""


def read_intent(model_store: Path) -> Intent | None:
    """Return what was begun and not ended; None when all was."""
    try:
        told = json.loads((model_store / FILE_NAME).read_text())
        return Intent(**{**told, "evicted": tuple(told["evicted"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        # Another tool's file. The record says what is live, whatever this one says.
        return None


def begin(model_store: Path, intent: Intent) -> None:
    path = model_store / FILE_NAME
    beside = path.with_name(f"{FILE_NAME}.part")
    with beside.open("w") as file:
        json.dump(asdict(intent), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def end(model_store: Path) -> None:
    (model_store / FILE_NAME).unlink(missing_ok=True)
