"""Rounds of a measurement, kept on the machine where they are made: calls under the same conditions add up."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.measurements import ROOT, WORK

PATH = WORK / "rounds.jsonl"


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """One line per round in a file: its conditions and its figures."""

    conditions: Mapping[str, Any]
    path: Path = PATH

    @classmethod
    def under(cls, *, packages: Sequence[str], path: Path = PATH, **conditions: Any) -> "Rounds":
        """Return the rounds of these conditions, on this machine and with the present code of the packages."""
        everything = {**conditions, "machine": machine.describe(), "code": code_digest(packages)}
        # As JSON gives it back: tuples become lists.
        return cls(conditions=json.loads(json.dumps(everything)), path=path)

    def read(self) -> list[dict[str, Any]]:
        """Return the figures of each round so far, the oldest first."""
        if not self.path.exists():
            return []
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [line["figures"] for line in lines if line["conditions"] == self.conditions]

    def add(self, figures: Mapping[str, Any]) -> None:
        """Append one round."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"conditions": self.conditions, "figures": figures}) + "\n")


def code_digest(packages: Sequence[str]) -> str:
    """Return the SHA-256 of the packages' Python files: rounds of other code must not be added to."""
    paths = sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
