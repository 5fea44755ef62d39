"""benchmarks/results.json: what was measured last, a key a measurement."""

import json
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine

PATH = Path(__file__).with_name("results.json")
WORK = Path(__file__).parents[1] / "runs" / "benchmarks"


def read(path: Path = PATH) -> dict[str, Any]:
    """Return everything that was measured; nothing where the file is not there yet."""
    told: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return told


def merge(key: str, found: dict[str, Any], path: Path = PATH) -> None:
    """Write one measurement beside the others, with its day and machine."""
    dated = {"date": datetime.now(UTC).date().isoformat(), "machine": machine.describe(), **found}
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps({**read(path), key: dated}, indent=2) + "\n")
    beside.replace(path)


def middle(values: Sequence[float]) -> float:
    """Return the median to two places."""
    return round(statistics.median(values), 2)
