"""Result files of the benchmarks: one JSON file per kind in benchmarks/results, with one key per measurement."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from storage.atomic import atomic_write

ROOT = Path(__file__).parents[1]
WORK = ROOT / "runs" / "benchmarks"
"""Networks, photos, logs and rounds: what a benchmark needs or leaves on this machine."""


def result_file(name: str) -> Path:
    """Return the committed file of one kind of measurement, such as `serving`."""
    return Path(__file__).with_name("results") / f"{name}.json"


def read(path: Path) -> dict[str, Any]:
    """Return everything measured so far, by key; empty where the file does not exist yet."""
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return results


def merge(key: str, figures: Mapping[str, Any], path: Path) -> None:
    """Write one measurement with today's date and this machine, and keep those under other keys. Raises OSError."""
    entry = {"date": datetime.now(UTC).date().isoformat(), "machine": machine.describe(), **figures}
    write(path, {**read(path), key: entry})


def write(path: Path, results: Mapping[str, Any]) -> None:
    """Replace a result file. Raises OSError."""
    atomic_write(path, json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
