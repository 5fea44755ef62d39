"""Figures of the check, one line of JSON each, written at once: a step that is killed keeps its own."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a figure should be."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, value: float) -> bool:
        """Say whether the value is within both limits; NaN never is."""
        lowest = float("-inf") if self.at_least is None else self.at_least
        highest = float("inf") if self.at_most is None else self.at_most
        return lowest <= value <= highest

    def __str__(self) -> str:
        limits = (("≥", self.at_least), ("≤", self.at_most))
        return " and ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)


@dataclass(frozen=True, kw_only=True)
class Records:
    """The file of all steps."""

    path: Path

    def __init__(self, path: Path) -> None:
        object.__setattr__(self, "path", path)

    def figure(
        self, step: str, name: str, value: float, unit: str = "", aim: Aim | None = None
    ) -> bool:
        """Write a figure; return whether it meets its aim, True where it has none."""
        record: Record = {
            "step": step,
            "figure": name,
            "value": round(float(value), 6),
            "unit": unit,
        }
        is_met = aim is None or aim.is_met(float(value))
        if aim is not None:
            record |= {"aim": str(aim), "is_met": is_met}
        self._append(record)
        return is_met

    def text(self, step: str, name: str, lines: str | Sequence[str]) -> None:
        """Write what is not a number: a name, an error, the top of a profile."""
        self._append({"step": step, "figure": name, "text": lines})

    def ended(self, step: str, status: str, seconds: float) -> None:
        """Write how a step ended."""
        self._append({"step": step, "status": status, "seconds": round(seconds, 1)})

    def read(self) -> list[Record]:
        """Return all records, in the order they were written; a line cut off by a killed process is left out."""
        records = []
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return records

    def _append(self, record: Record) -> None:
        # NaN, which JSON has not, as null.
        if isinstance(record.get("value"), float) and record["value"] != record["value"]:
            record["value"] = None
        with self.path.open("a") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
