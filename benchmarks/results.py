"""What was measured last, a key a measurement: benchmarks/results.json, and training.json."""

import json
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from training.run import write_json

PATH = Path(__file__).with_name("results.json")
WORK = Path(__file__).parents[1] / "runs" / "benchmarks"


def read(path: Path = PATH) -> dict[str, Any]:
    """Return everything that was measured; nothing where the file is not there yet."""
    told: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return told


def merge(key: str, found: dict[str, Any], path: Path = PATH) -> None:
    """Write one measurement beside the others, with its day and machine."""
    dated = {"date": datetime.now(UTC).date().isoformat(), "machine": machine.describe(), **found}
    write_json(path, {**read(path), key: dated})


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation; 0 of a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def told_shares(shares: Sequence[float]) -> str:
    """Return mean ± standard deviation of shares, 0..1, in percent."""
    return f"{100 * statistics.fmean(shares):.1f} ± {100 * spread(shares):.1f} %"


def middle(values: Sequence[float]) -> float:
    """Return the median to two places."""
    return round(statistics.median(values), 2)
