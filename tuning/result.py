"""The goal of a tuning and its result, which becomes model-config.yaml and tuning.json."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.archive.reader import Archive
from serving.archive.repack import read_model_config, to_yaml
from serving.errors import InputError
from storage.atomic import atomic_write
from tuning.effects import Effect
from tuning.space import Host
from tuning.trial import OpenLevel, Trial

# A trial takes the start of its workers and one level or more; this many levels fit into the time given.
LEVELS_IN_BUDGET = 160
SHORTEST_LEVEL_S, LONGEST_LEVEL_S = 0.4, 6.0


@dataclass(frozen=True, kw_only=True)
class TuningGoal:
    seconds: float = 480.0
    """Time for the whole tuning; a trial that has begun is completed."""
    max_p99_ms: float | None = None
    """Bound on the 99th percentile of latency; None for no bound."""
    price_per_hour: float | None = None
    """Of the host, in any currency."""

    def __post_init__(self) -> None:
        for name in ("seconds", "max_p99_ms", "price_per_hour"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"--{name.replace('_', '-')} must be above 0, not {value:g}.")

    @property
    def level_s(self) -> float:
        """Return the seconds that one level is measured for."""
        return min(LONGEST_LEVEL_S, max(SHORTEST_LEVEL_S, self.seconds / LEVELS_IN_BUDGET))


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    archive: Archive
    host: Host
    goal: TuningGoal
    trials: list[Trial]
    """Of the search, in its order; the first is the current configuration's."""
    before: Trial
    """Of the current configuration, from the run-off."""
    chosen: Trial
    """Of the winner, from the run-off."""
    open_levels: list[OpenLevel]
    """Of the winner, at shares of its throughput; empty where it does not keep the bound."""
    effects: list[Effect]
    photo_count: int
    seconds: float

    @property
    def meets_goal(self) -> bool:
        """Return whether the chosen configuration keeps the bound on p99."""
        return self.chosen.best_level(self.goal.max_p99_ms) is not None

    @property
    def speedup(self) -> float:
        """Return how many times as fast the chosen configuration is as the current one; 1 where one keeps no bound."""
        max_p99_ms = self.goal.max_p99_ms
        before = self.before.photos_per_s(max_p99_ms)
        return self.chosen.photos_per_s(max_p99_ms) / before if before and self.meets_goal else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything measured as plain values."""
        return {
            "archive": self.archive.file_name,
            "sha256": self.archive.sha256,
            "host": asdict(self.host),
            "goal": asdict(self.goal),
            "photo_count": self.photo_count,
            "seconds": round(self.seconds, 1),
            "chosen": self.chosen.to_dict(),
            "open_loop": [asdict(level) for level in self.open_levels],
            "before": self.before.to_dict(),
            "meets_goal": self.meets_goal,
            "speedup": round(self.speedup, 3),
            "effects": [
                {
                    "name": effect.name,
                    "factors": {str(key): round(value, 3) for key, value in effect.factors.items()},
                }
                for effect in self.effects
            ],
            "trials": [trial.to_dict() for trial in self.trials],
        }


def write_result(result: TuningResult, folder: Path) -> None:
    """Write model-config.yaml and tuning.json into the folder, which is made where it is missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    config = result.chosen.config.to_model_config(read_model_config(result.archive.path))
    atomic_write(folder / "model-config.yaml", to_yaml(config))
    atomic_write(folder / "tuning.json", json.dumps(result.to_dict(), indent=1) + "\n")
