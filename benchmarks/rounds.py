"""Rounds of a measurement, kept where it is made: a call adds to those measured under the same conditions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.results import WORK

ROOT = Path(__file__).parents[1]
PATH = WORK / "rounds.jsonl"


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """A line a round: its conditions, and what was found."""

    conditions: Mapping[str, Any]
    path: Path = PATH

    @classmethod
    def under(cls, *, rooms: Sequence[str], path: Path = PATH, **conditions: Any) -> "Rounds":
        """Return the rounds of these conditions, on this machine and with the code of `rooms` as it is."""
        everything = {**conditions, "machine": machine.describe(), "code": code_digest(rooms)}
        # As it will be read back: tuples become lists.
        return cls(conditions=json.loads(json.dumps(everything)), path=path)

    def read(self) -> list[dict[str, Any]]:
        """Return what was found so far, the oldest first."""
        if not self.path.exists():
            return []
        told = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [one["found"] for one in told if one["conditions"] == self.conditions]

    def add(self, found: Mapping[str, Any]) -> None:
        """Keep one more."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as lines:
            lines.write(json.dumps({"conditions": self.conditions, "found": found}) + "\n")


def code_digest(rooms: Sequence[str]) -> str:
    """Return the SHA-256 of what is measured: figures of other code are not added to."""
    paths = sorted(path for room in rooms for path in (ROOT / room).glob("*.py"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
