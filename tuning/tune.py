"""Tunes an archive for this host: a search, a run-off, and the winner under requests at random."""

import time
from collections.abc import Callable, Sequence

from serving.archive.reader import Archive, open_packed
from serving.archive.repack import read_model_config
from serving.errors import ServerError
from serving.settings import ServerSettings
from tuning.effects import Effect, fit
from tuning.measuring import Measurer, classifiable, pick_photos
from tuning.result import TuningGoal, TuningResult
from tuning.search import Measure, descend, run_off, winner
from tuning.serving_config import ServingConfig, read_serving_config
from tuning.space import Host, Space, make_space, read_host
from tuning.trial import Trial, pool
from tuning.trial_server import TrialServer

# Shares of the time given: until the search ends, and until the run-off ends.
SEARCH_SHARE = 0.6
RUN_OFF_SHARE = 0.85
ROUNDS = 2
OPEN_LOADS = (0.5, 0.8)

Report = Callable[[str], None]


class Clock:
    """Tells whether another trial may begin, estimated from the duration of the trials so far."""

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
    goal: TuningGoal,
    *,
    report: Report,
    space: Space | None = None,
) -> TuningResult:
    """Return every trial and the best configuration; takes about `goal.seconds`.

    Raises:
        InputError: the archive classifies none of the photos.
        ServingError: the archive cannot be read, no server can be started, or no configuration can be served.
    """
    began_s = time.monotonic()
    host = read_host(file_names(archive))
    space = space or make_space(host)
    start = current_config(archive, settings, host)
    with TrialServer(archive, settings) as server:
        report(f"current configuration: {start}")
        server.load(start)
        usable = classifiable(server, pick_photos(photos))
        measurer = Measurer(
            server=server, photos=usable, connections=space.connections, level_s=goal.level_s,
            max_p99_ms=goal.max_p99_ms, has_gpu=host.gpus > 0,
        )  # fmt: skip
        trials = descend(
            start, space, _reporting(measurer.quick, report, goal),
            max_p99_ms=goal.max_p99_ms, clock=Clock(SEARCH_SHARE * goal.seconds),
        )  # fmt: skip
        _require_served(trials)
        left_s = RUN_OFF_SHARE * goal.seconds - (time.monotonic() - began_s)
        report("run-off of the best")
        rounds = run_off(
            trials, _reporting(measurer.thorough, report, goal),
            rounds=ROUNDS, max_p99_ms=goal.max_p99_ms, clock=Clock(left_s),
        )  # fmt: skip
        _require_served([trial for repeats in rounds.values() for trial in repeats])
        chosen = winner(rounds, goal.max_p99_ms)
        photos_per_s = chosen.photos_per_s(goal.max_p99_ms)
        open_levels = measurer.open(chosen.config, OPEN_LOADS, photos_per_s) if photos_per_s else []
    return TuningResult(
        archive=archive,
        host=host,
        goal=goal,
        trials=trials,
        before=pool(rounds[start]),
        chosen=chosen,
        open_levels=open_levels,
        effects=effects_of(trials, goal.max_p99_ms),
        photo_count=len(usable),
        seconds=time.monotonic() - began_s,
    )


def current_config(archive: Archive, settings: ServerSettings, host: Host) -> ServingConfig:
    """Return how `headswap serve` would serve the archive now, with `auto` replaced by what it means on this host."""
    config = read_serving_config(read_model_config(archive.path), workers=settings.worker_count)
    if host.gpus:
        return config.changed({"precision": "float16"} if config.precision == "auto" else {})
    return config.changed({"engine": host.engines[0]}) if config.engine == "auto" else config


def effects_of(trials: Sequence[Trial], max_p99_ms: float | None) -> list[Effect]:
    """Return the effect of each setting on throughput within the bound; trials beyond it are left out."""
    measured = [
        (trial.config, trial.photos_per_s(max_p99_ms))
        for trial in trials
        if trial.photos_per_s(max_p99_ms) > 0
    ]
    return fit(measured).effects() if measured else []


def file_names(archive: Archive) -> list[str]:
    """Return the names of the archive's files."""
    with open_packed(archive.path) as packed:
        return packed.namelist()


def _require_served(trials: Sequence[Trial]) -> None:
    if all(trial.error is not None for trial in trials):
        raise ServerError(f"no configuration could be served: {trials[0].error}")


def _reporting(measure: Measure, report: Report, goal: TuningGoal) -> Measure:
    """Return `measure`, which then reports each trial."""

    def measure_and_report(config: ServingConfig) -> Trial:
        trial = measure(config)
        report(f"{_format_trial(trial, goal.max_p99_ms)}  {config}")
        return trial

    return measure_and_report


def _format_trial(trial: Trial, max_p99_ms: float | None) -> str:
    if trial.error is not None:
        return f"cannot be served ({trial.error})"
    level = trial.best_level(max_p99_ms)
    if level is None:
        lowest_ms = min(level.p99_ms for level in trial.levels)
        return f"p99 of at least {lowest_ms:.0f} ms, above the bound"
    return f"{level.photos_per_s:7.1f} photos/s, p99 {level.p99_ms:6.0f} ms"
