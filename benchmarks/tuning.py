"""Is the configuration that `headswap tune` picks as fast as the best of all? Measures the whole grid and compares.

    python -m benchmarks.tuning model_store/clothing-1.0.mar --photos photos/test

First the grid, every configuration of GRID once, and what the tuner's search finds in these figures; then the tuner
itself on the same grid; then the tuner's pick and the grid's best in turns, for several rounds, and the ratio of their
medians. It stops after --seconds, and the next call continues: an idle machine need not be idle for an hour. Results go
to benchmarks/results/tuning.json.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measurements import ROOT, result_file
from serving.archive.reader import Archive, read_archive
from serving.settings import ServerSettings, load_settings
from storage.atomic import atomic_write
from tuning.measuring import Measurer, classifiable, pick_photos
from tuning.result import TuningGoal
from tuning.search import descend
from tuning.serving_config import ServingConfig
from tuning.space import Axis, Space, read_host
from tuning.trial import Level, Trial, choose
from tuning.trial_server import TrialServer
from tuning.tune import file_names, tune

RESULTS = result_file("tuning")
LEVEL_S = 2.5
ROUNDS = 4
# The same choices for both, fewer than the tuner has by default: 24 configurations.
GRID = Space(
    axes=(
        Axis(
            name="workers and threads",
            choices=tuple({"workers": w, "threads": t} for w, t in ((2, 1), (1, 2), (1, 1), (3, 1))),
        ),
        Axis(name="engine", choices=({"engine": "onnx"}, {"engine": "eager"})),
        Axis(
            name="batches",
            choices=tuple(
                {"batch_size": size, "max_delay_ms": delay_ms}
                for size, delay_ms in ((4, 1), (1, 1), (8, 5))
            ),
        ),
    ),
    connections=(1, 2, 4, 8),
)  # fmt: skip
START = ServingConfig(workers=2, threads=1, batch_size=4, max_delay_ms=1, engine="onnx")


class Bench:
    """Results are written after each step, and a step that has a result is skipped."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.archive: Archive = read_archive(arguments.archive)
        self.settings: ServerSettings = load_settings(
            config=ROOT / "config.properties", model_store=Path("unused"), state=Path("unused")
        )
        self.photos = pick_photos(
            [path.read_bytes() for path in sorted(arguments.photos.rglob("*.jpg"))]
        )
        self.ends_s = time.monotonic() + arguments.seconds
        self.results: dict[str, Any] = {"archive": self.archive.file_name, "grid": [], "rounds": []}
        if arguments.out.exists():
            self.results = json.loads(arguments.out.read_text())

    def run(self) -> None:
        """Take the steps that are missing, as long as there is time."""
        self._measure_grid()
        if len(self.results["grid"]) < len(list(configs_of(GRID))):
            return
        self.results["search"] = search_again(self.results["grid"])
        self._write()
        if "tuner" not in self.results:
            if self._left_s() < self.arguments.tune_seconds:
                return
            self._tune()
        self._compare()
        count, ratio = len(self.results["rounds"]), self.results.get("ratio")
        self._log(f"{count} of {ROUNDS} rounds, ratio {ratio}")

    def _left_s(self) -> float:
        return float(self.ends_s - time.monotonic())

    def _measure_grid(self) -> None:
        known = [entry["config"] for entry in self.results["grid"]]
        if len(known) == len(list(configs_of(GRID))):
            return
        with TrialServer(self.archive, self.settings) as server:
            measurer = self._measurer(server)
            for config in configs_of(GRID):
                if config.to_dict() in known:
                    continue
                if self._left_s() < 0:
                    return
                trial = measurer.quick(config)
                photos_per_s = trial.photos_per_s(self.arguments.max_p99_ms)
                self._append(
                    "grid",
                    {
                        "config": config.to_dict(),
                        "photos_per_s": photos_per_s,
                        "error": trial.error,
                    },
                )
                self._log(f"{photos_per_s:7.1f}  {config}")

    def _tune(self) -> None:
        goal = TuningGoal(seconds=self.arguments.tune_seconds, max_p99_ms=self.arguments.max_p99_ms)
        result = tune(self.archive, self.settings, self.photos, goal, report=self._log, space=GRID)
        self.results["tuner"] = {
            "config": result.chosen.config.to_dict(),
            "trials": len(result.trials),
            "seconds": round(result.seconds, 1),
            "effects": [
                {"name": effect.name, "range": round(effect.range, 3)} for effect in result.effects
            ],
        }
        self._write()

    def _compare(self) -> None:
        rounds = self.results["rounds"]
        if len(rounds) == ROUNDS or self._left_s() < 0:
            return
        best = max(self.results["grid"], key=lambda entry: entry["photos_per_s"])["config"]
        picked = self.results["tuner"]["config"]
        with TrialServer(self.archive, self.settings) as server:
            measurer = self._measurer(server)
            while len(rounds) < ROUNDS and self._left_s() > 0:
                photos_per_s = [
                    measurer.thorough(ServingConfig(**config)).photos_per_s(
                        self.arguments.max_p99_ms
                    )
                    for config in (picked, best)
                ]
                self._append("rounds", {"picked": photos_per_s[0], "best": photos_per_s[1]})
                self._log(f"picked {photos_per_s[0]:.1f}, best {photos_per_s[1]:.1f}")
        medians = {
            key: statistics.median(one_round[key] for one_round in rounds)
            for key in ("picked", "best")
        }
        self.results |= {
            "best": best,
            "ratio": round(medians["picked"] / medians["best"], 3),
            "host": asdict(read_host(file_names(self.archive))),
        }
        self._write()

    def _measurer(self, server: TrialServer) -> Measurer:
        server.load(START)
        return Measurer(
            server=server, photos=classifiable(server, self.photos), connections=GRID.connections,
            level_s=LEVEL_S, max_p99_ms=self.arguments.max_p99_ms,
        )  # fmt: skip

    def _append(self, key: str, entry: dict[str, Any]) -> None:
        self.results[key].append(entry)
        self._write()

    def _write(self) -> None:
        atomic_write(self.arguments.out, json.dumps(self.results, indent=1) + "\n")

    def _log(self, sentence: str) -> None:
        sys.stderr.write(f"{sentence}\n")


def search_again(grid: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the tuner's search finds, and after how many trials, when each trial has the grid's figures.

    This scores the search without the noise of a second measurement; `ratio` is of the grid's highest throughput.
    """
    trials = {trial.config: trial for trial in map(_trial_of, grid)}
    tried = descend(START, GRID, trials.__getitem__, max_p99_ms=None, clock=_Endless())
    chosen = choose(tried, None)
    best = max(trial.photos_per_s(None) for trial in trials.values())
    return {
        "config": chosen.config.to_dict(),
        "tried": len(tried),
        "of": len(trials),
        "ratio": round(chosen.photos_per_s(None) / best, 3),
    }


def configs_of(space: Space) -> Iterator[ServingConfig]:
    """Yield every combination of the axes' choices."""
    configs = [START]
    for axis in space.axes:
        configs = [changed for config in configs for changed in axis.around(config)]
    yield from configs


def _trial_of(entry: Mapping[str, Any]) -> Trial:
    level = Level(
        connections=GRID.connections[-1],
        photos_per_s=entry["photos_per_s"],
        p50_ms=0.0,
        p99_ms=1.0,
        failed=0,
    )
    return Trial(config=ServingConfig(**entry["config"]), levels=(level,), memory_mb=0.0)


class _Endless:
    def has_time(self) -> bool:
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--seconds",
        type=float,
        default=900.0,
        help="time after which it stops; the next call continues",
    )
    parser.add_argument("--tune-seconds", type=float, default=300.0, help="time for the tuner")
    parser.add_argument("--max-p99-ms", type=float, help="bound on p99, as of headswap tune")
    Bench(parser.parse_args()).run()


if __name__ == "__main__":
    main()
