"""Finds the best configuration without trying each: along one axis at a time, then a run-off of the best few.

Coordinate descent from the current configuration: on each axis the best choice is kept, and all axes are searched again
until none changes anything. A configuration is skipped when an additive model of the trials so far (tuning/effects.py)
expects it to be much slower than the fastest.
"""

from collections.abc import Callable
from typing import Protocol

from tuning.effects import fit
from tuning.serving_config import ServingConfig
from tuning.space import Space
from tuning.trial import Trial, choose, pool

# A configuration expected to reach less than this share is skipped: the model is rough, and settings interact.
SKIPPED_BELOW = 0.8
# How many of the best meet in the run-off, and which share of the fastest's throughput they need.
FINALISTS = 3
FINALIST_SHARE = 0.93

Measure = Callable[[ServingConfig], Trial]


class Clock(Protocol):
    def has_time(self) -> bool:
        """Return whether another trial may begin."""


def descend(
    start: ServingConfig, space: Space, measure: Measure, *, max_p99_ms: float | None, clock: Clock
) -> list[Trial]:
    """Return every trial, one per configuration; that of `start` is the first."""
    trials = {start: measure(start)}
    best = start
    is_better = True
    while is_better:
        is_better = False
        for axis in space.axes:
            for config in axis.around(best):
                if config in trials or _is_hopeless(config, trials, max_p99_ms):
                    continue
                if not clock.has_time():
                    return list(trials.values())
                trials[config] = measure(config)
            leader = _leader(trials, max_p99_ms, default=best)
            is_better |= leader != best
            best = leader
    return list(trials.values())


def run_off(
    trials: list[Trial],
    measure: Measure,
    *,
    rounds: int,
    max_p99_ms: float | None,
    clock: Clock,
) -> dict[ServingConfig, list[Trial]]:
    """Return new trials of the best few configurations and of the first, measured in turns.

    They are measured again because the fastest of many trials was also lucky.
    """
    configs = [*finalists(trials, max_p99_ms), trials[0].config]
    measured: dict[ServingConfig, list[Trial]] = {config: [] for config in configs}
    for number in range(rounds):
        if number and not clock.has_time():
            break
        for config, repeats in measured.items():
            repeats.append(measure(config))
    return measured


def finalists(trials: list[Trial], max_p99_ms: float | None) -> list[ServingConfig]:
    """Return the configurations to measure again, the best first."""
    leader = choose(trials, max_p99_ms)
    others = sorted(
        (trial for trial in trials if trial is not leader and trial.error is None),
        key=lambda trial: -trial.photos_per_s(max_p99_ms),
    )
    least = FINALIST_SHARE * leader.photos_per_s(max_p99_ms)
    near = [trial for trial in others if least and trial.photos_per_s(max_p99_ms) >= least]
    return [trial.config for trial in (leader, *near[: FINALISTS - 1])]


def winner(rounds: dict[ServingConfig, list[Trial]], max_p99_ms: float | None) -> Trial:
    """Return the pooled trial of the configuration that did best in the run-off."""
    return choose([pool(repeats) for repeats in rounds.values()], max_p99_ms)


def _leader(
    trials: dict[ServingConfig, Trial], max_p99_ms: float | None, *, default: ServingConfig
) -> ServingConfig:
    if all(trial.error is not None for trial in trials.values()):
        return default
    return choose(trials.values(), max_p99_ms).config


def _is_hopeless(
    config: ServingConfig, trials: dict[ServingConfig, Trial], max_p99_ms: float | None
) -> bool:
    pairs = [(trial.config, trial.photos_per_s(max_p99_ms)) for trial in trials.values()]
    measured = [(tried, photos_per_s) for tried, photos_per_s in pairs if photos_per_s > 0]
    if not measured:
        return False
    model = fit(measured)
    fastest = max(photos_per_s for _, photos_per_s in measured)
    return model.knows(config) and model.predict(config) < SKIPPED_BELOW * fastest
