"""Is what `headswap tune` picks as fast as the best of all settings? Measures all of them once, then lets both meet.

    python -m benchmarks.tuning model_store/clothing-1.0.mar --photos photos/test --out benchmarks/tuning.json

Goes on where it was stopped, and stops by itself after --seconds: an idle machine need not be idle for an hour. First
the grid, every setting of GRID once, and what the tuner's search finds in these figures; then the tuner itself on the
same grid; then the tuner's pick and the best of the grid in turns, several rounds, and the ratio of their medians.
`--max-p99-ms` as for the tuner.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serving.archive.reader import Archive, read_archive
from serving.settings import ServerSettings, load_settings
from tuning.measuring import Measurer, only_good, pick_photos
from tuning.result import TuningGoal, write_beside
from tuning.search import descend
from tuning.serving_config import ServingConfig
from tuning.space import Axis, Space, read_host
from tuning.trial import Level, Trial, choose
from tuning.trial_server import TrialServer
from tuning.tune import files_of, tune

ROOT = Path(__file__).parents[1]
LEVEL_S = 2.5
ROUNDS = 4
# The same choices for both, fewer than the tuner has by itself: 24 settings.
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
    """Results in a JSON file that grows; each step is left out once its result is there."""

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
        self.told: dict[str, Any] = {"archive": self.archive.file_name, "grid": [], "duel": []}
        if arguments.out.exists():
            self.told = json.loads(arguments.out.read_text())

    def run(self) -> None:
        """Do what is not done yet, as far as the time goes."""
        self._grid()
        if len(self.told["grid"]) < len(list(settings_of(GRID))):
            return
        self.told["searched"] = search_again(self.told["grid"])
        self._write()
        if "tuned" not in self.told:
            if self._left_s() < self.arguments.tune_seconds:
                return
            self._tune()
        self._duel()
        self._say(f"{len(self.told['duel'])} of {ROUNDS} rounds, ratio {self.told.get('ratio')}")

    def _left_s(self) -> float:
        return float(self.ends_s - time.monotonic())

    def _grid(self) -> None:
        known = [one["setting"] for one in self.told["grid"]]
        if len(known) == len(list(settings_of(GRID))):
            return
        with TrialServer(self.archive, self.settings) as server:
            measurer = self._measurer(server)
            for setting in settings_of(GRID):
                if setting.to_dict() in known:
                    continue
                if self._left_s() < 0:
                    return
                point = measurer.quick(setting)
                rate = point.rate(self.arguments.max_p99_ms)
                self._keep(
                    "grid",
                    {"setting": setting.to_dict(), "photos_per_s": rate, "fault": point.fault},
                )
                self._say(f"{rate:7.1f}  {setting}")

    def _tune(self) -> None:
        wish = TuningGoal(seconds=self.arguments.tune_seconds, max_p99_ms=self.arguments.max_p99_ms)
        tuned = tune(self.archive, self.settings, self.photos, wish, report=self._say, space=GRID)
        self.told["tuned"] = {
            "setting": tuned.chosen.setting.to_dict(),
            "measured": len(tuned.points),
            "took_s": round(tuned.took_s, 1),
            "effects": [{"name": one.name, "range": round(one.range, 3)} for one in tuned.effects],
        }
        self._write()

    def _duel(self) -> None:
        if len(self.told["duel"]) == ROUNDS or self._left_s() < 0:
            return
        best = max(self.told["grid"], key=lambda one: one["photos_per_s"])["setting"]
        picked = self.told["tuned"]["setting"]
        with TrialServer(self.archive, self.settings) as server:
            measurer = self._measurer(server)
            while len(self.told["duel"]) < ROUNDS and self._left_s() > 0:
                rates = [
                    measurer.thorough(ServingConfig(**one)).rate(self.arguments.max_p99_ms)
                    for one in (picked, best)
                ]
                self._keep("duel", {"picked": rates[0], "best": rates[1]})
                self._say(f"picked {rates[0]:.1f}, best {rates[1]:.1f}")
        medians = [
            statistics.median(one[key] for one in self.told["duel"]) for key in ("picked", "best")
        ]
        self.told |= {
            "best": best,
            "ratio": round(medians[0] / medians[1], 3),
            "host": asdict(read_host(files_of(self.archive))),
        }
        self._write()

    def _measurer(self, server: TrialServer) -> Measurer:
        server.load(START)
        return Measurer(
            server=server, photos=only_good(server, self.photos), connections=GRID.connections,
            level_s=LEVEL_S, max_p99_ms=self.arguments.max_p99_ms,
        )  # fmt: skip

    def _keep(self, key: str, value: dict[str, Any]) -> None:
        self.told[key].append(value)
        self._write()

    def _write(self) -> None:
        write_beside(self.arguments.out, json.dumps(self.told, indent=1) + "\n")

    def _say(self, sentence: str) -> None:
        sys.stderr.write(f"{sentence}\n")


def search_again(grid: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the tuner's search finds where each setting shows what the grid measured of it, and at what cost.

    So the search is judged without the noise of a second measurement; `ratio` is of the grid's best rate.
    """
    points = {point.setting: point for point in map(_point_of, grid)}
    tried = descend(START, GRID, points.__getitem__, max_p99_ms=None, clock=_Endless())
    chosen = choose(tried, None)
    best = max(point.rate(None) for point in points.values())
    return {
        "setting": chosen.setting.to_dict(),
        "tried": len(tried),
        "of": len(points),
        "ratio": round(chosen.rate(None) / best, 3),
    }


def _point_of(told: dict[str, Any]) -> Trial:
    level = Level(
        connections=GRID.connections[-1],
        photos_per_s=told["photos_per_s"],
        p50_ms=0.0,
        p99_ms=told.get("p99_ms", 1.0),
        failed=0,
    )
    return Trial(setting=ServingConfig(**told["setting"]), levels=(level,), memory_mb=0.0)


class _Endless:
    def has_time(self) -> bool:
        return True


def settings_of(space: Space) -> Iterator[ServingConfig]:
    """Yield every combination of the axes' choices."""
    found = [START]
    for axis in space.axes:
        found = [changed for one in found for changed in axis.around(one)]
    yield from found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("tuning.json"))
    parser.add_argument(
        "--seconds", type=float, default=900.0, help="after which it stops; run it again"
    )
    parser.add_argument("--tune-seconds", type=float, default=300.0, help="the tuner's own budget")
    parser.add_argument("--max-p99-ms", type=float)
    Bench(parser.parse_args()).run()


if __name__ == "__main__":
    main()
