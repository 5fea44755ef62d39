"""What the user wishes of a tuning, and what it found, as files."""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.archive.reader import Archive
from serving.archive.repack import read_model_config, to_yaml
from tuning.effects import Effect
from tuning.errors import InputError
from tuning.space import Host
from tuning.trial import OpenLevel, Trial

# A setting takes its workers' start and a level or more; so many of them fit into the time given.
LEVELS_IN_BUDGET = 160
SHORTEST_LEVEL_S, LONGEST_LEVEL_S = 0.4, 6.0


@dataclass(frozen=True, kw_only=True)
class TuningGoal:
    """What the user wants."""

    seconds: float = 480.0
    """For everything; what has begun is ended."""
    max_p99_ms: float | None = None
    price_per_hour: float | None = None
    """Of the host, in whatever currency."""

    def __post_init__(self) -> None:
        for name in ("seconds", "max_p99_ms", "price_per_hour"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"--{name.replace('_', '-')} is {value:g}; a number above 0 is.")

    @property
    def level_s(self) -> float:
        return min(LONGEST_LEVEL_S, max(SHORTEST_LEVEL_S, self.seconds / LEVELS_IN_BUDGET))


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    archive: Archive
    host: Host
    wish: TuningGoal
    points: list[Trial]
    """The search's, in its order; the first is what the archive is served with now."""
    before: Trial
    """The first, from the run-off."""
    chosen: Trial
    """The winner, from the run-off."""
    open_levels: list[OpenLevel]
    """The winner, at shares of its rate; empty where it does not keep the bound."""
    effects: list[Effect]
    photo_count: int
    took_s: float

    @property
    def keeps_bound(self) -> bool:
        return self.chosen.best(self.wish.max_p99_ms) is not None

    @property
    def gain(self) -> float:
        """Return how many times as fast the winner is as what is served now; 1 where nothing can be compared."""
        bound = self.wish.max_p99_ms
        before = self.before.rate(bound)
        return self.chosen.rate(bound) / before if before and self.keeps_bound else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything measured as plain values."""
        return {
            "archive": self.archive.file_name,
            "sha256": self.archive.sha256,
            "host": asdict(self.host),
            "wish": asdict(self.wish),
            "photos": self.photo_count,
            "took_s": round(self.took_s, 1),
            "chosen": self.chosen.to_dict(),
            "open_loop": [asdict(level) for level in self.open_levels],
            "before": self.before.to_dict(),
            "keeps_bound": self.keeps_bound,
            "gain": round(self.gain, 3),
            "effects": [
                {"name": one.name, "factors": {str(key): round(value, 3) for key, value in one.factors.items()}}
                for one in self.effects
            ],
            "points": [point.to_dict() for point in self.points],
        }  # fmt: skip


def write(tuned: TuningResult, folder: Path) -> None:
    """Write model-config.yaml and tuning.json. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tuned.chosen.setting.to_model_config(read_model_config(tuned.archive.path))
    write_beside(folder / "model-config.yaml", to_yaml(config))
    write_beside(folder / "tuning.json", json.dumps(tuned.to_dict(), indent=1) + "\n")


def write_beside(path: Path, text: str) -> None:
    """Write a file under another name and rename it: nobody reads half of it."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text)
    os.replace(beside, path)
