"""Tunes an archive for this host: search, run-off, and the winner under open load."""

import time
from collections.abc import Callable, Sequence

from serving.archive.reader import Archive, open_packed
from serving.archive.repack import read_model_config
from serving.settings import ServerSettings
from tuning.effects import Effect, fit
from tuning.errors import TuningError
from tuning.measuring import Measurer, only_good, pick_photos
from tuning.result import TuningGoal, TuningResult
from tuning.search import descend, run_off, winner
from tuning.serving_config import ServingConfig, read_setting
from tuning.space import Host, Space, make_space, read_host
from tuning.trial import Trial, pool
from tuning.trial_server import TrialServer

# Of the time given; the rest is for the run-off.
SEARCH_SHARE = 0.6
ROUNDS = 2
RUN_OFF_SHARE = 0.85
LOADS = (0.5, 0.8)
ONNX_FILE = "model.onnx"

Report = Callable[[str], None]


class Clock:
    """Says whether another setting may begin, by what one took so far."""

    def __init__(self, seconds: float) -> None:
        self._began_s, self._seconds, self._begun = time.monotonic(), seconds, 0

    def has_time(self) -> bool:
        elapsed_s = time.monotonic() - self._began_s
        self._begun += 1
        return elapsed_s * (self._begun + 1) / self._begun < self._seconds


def tune(
    archive: Archive,
    settings: ServerSettings,
    photos: Sequence[bytes],
    wish: TuningGoal,
    *,
    report: Report,
    space: Space | None = None,
) -> TuningResult:
    """Return what was found; takes about the wished seconds.

    Raises:
        TuningError: what the archive is served with now cannot be served here. InputError: no usable photo.
        ServingError: the archive cannot be read, no server can be started.
    """
    began_s = time.monotonic()
    host = read_host(files_of(archive))
    space = space or make_space(host)
    start = starting_setting(archive, settings, host)
    with TrialServer(archive, settings) as server:
        report(f"now: {start}")
        server.load(start)
        good = only_good(server, pick_photos(photos))
        measurer = Measurer(
            server=server, photos=good, connections=space.connections, level_s=wish.level_s,
            max_p99_ms=wish.max_p99_ms, has_gpu=host.gpus > 0,
        )  # fmt: skip
        told = _telling(report, wish)
        points = descend(
            start, space, told(measurer.quick),
            max_p99_ms=wish.max_p99_ms, clock=Clock(SEARCH_SHARE * wish.seconds),
        )  # fmt: skip
        _refuse_faults(points)
        left_s = RUN_OFF_SHARE * wish.seconds - (time.monotonic() - began_s)
        report("run-off of the best")
        rounds = run_off(
            points, told(measurer.thorough),
            rounds=ROUNDS, max_p99_ms=wish.max_p99_ms, clock=Clock(left_s),
        )  # fmt: skip
        _refuse_faults([point for measured in rounds.values() for point in measured])
        chosen = winner(rounds, wish.max_p99_ms)
        rate_per_s = chosen.rate(wish.max_p99_ms)
        open_levels = measurer.open(chosen.setting, LOADS, rate_per_s) if rate_per_s else []
    return TuningResult(
        archive=archive,
        host=host,
        wish=wish,
        points=points,
        before=pool(rounds[start]),
        chosen=chosen,
        open_levels=open_levels,
        effects=effects_of(points, wish.max_p99_ms),
        photo_count=len(good),
        took_s=time.monotonic() - began_s,
    )


def starting_setting(archive: Archive, settings: ServerSettings, host: Host) -> ServingConfig:
    """Return how `headswap serve` would serve the archive now, with what `auto` comes to on this host."""
    setting = read_setting(read_model_config(archive.path), workers=settings.worker_count)
    if host.gpus:
        return setting.changed({"precision": "float16"} if setting.precision == "auto" else {})
    return setting.changed({"engine": host.engines[0]}) if setting.engine == "auto" else setting


def effects_of(points: Sequence[Trial], max_p99_ms: float | None) -> list[Effect]:
    """Return what each setting did to the rate within the bound; points beyond it tell nothing."""
    measured = [
        (point.setting, point.rate(max_p99_ms)) for point in points if point.rate(max_p99_ms) > 0
    ]
    return fit(measured).effects() if measured else []


def _refuse_faults(points: Sequence[Trial]) -> None:
    if all(point.fault is not None for point in points):
        raise TuningError(f"no setting could be served: {points[0].fault}")


def _telling(
    report: Report, wish: TuningGoal
) -> Callable[[Callable[[ServingConfig], Trial]], Callable[[ServingConfig], Trial]]:
    """Return what makes a measure say what it measured."""

    def with_words(measure: Callable[[ServingConfig], Trial]) -> Callable[[ServingConfig], Trial]:
        def measured(setting: ServingConfig) -> Trial:
            point = measure(setting)
            report(f"{_result(point, wish.max_p99_ms)}  {setting}")
            return point

        return measured

    return with_words


def _result(point: Trial, max_p99_ms: float | None) -> str:
    if point.fault is not None:
        return f"cannot be served ({point.fault})"
    level = point.best(max_p99_ms)
    if level is None:
        lowest_ms = min(one.p99_ms for one in point.levels)
        return f"p99 {lowest_ms:.0f} ms or more, too late"
    return f"{level.photos_per_s:7.1f} photos/s, p99 {level.p99_ms:6.0f} ms"


def files_of(archive: Archive) -> list[str]:
    """Return the names of the archive's files."""
    with open_packed(archive.path) as packed:
        return packed.namelist()
