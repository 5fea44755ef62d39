"""Finds the best setting without trying every one: along one axis at a time, then a run-off of the best few.

Coordinate descent from what is served now: of each axis the best choice is kept, and the axes are gone through again
until none changes anything. The second time round a setting is left out that an additive model of what was measured so
far (tuning/effects.py) expects to be far behind.
"""

from collections.abc import Callable
from typing import Protocol

from tuning.effects import fit
from tuning.serving_config import ServingConfig
from tuning.space import Space
from tuning.trial import Trial, choose, pool

# Expected to be further behind than this, a setting is not tried: the model is rough, interactions exist.
HOPELESS = 0.8
# How many of the best meet again, and which share of the best one's rate lets a setting in.
FINALISTS = 3
NEAR = 0.93

Measure = Callable[[ServingConfig], Trial]


class Clock(Protocol):
    def has_time(self) -> bool:
        """Return whether another measurement may begin."""


def descend(
    start: ServingConfig, space: Space, measure: Measure, *, max_p99_ms: float | None, clock: Clock
) -> list[Trial]:
    """Return every point measured, each setting once; `start` is the first."""
    points = {start: measure(start)}
    best = start
    is_better = True
    while is_better:
        is_better = False
        for axis in space.axes:
            for setting in axis.around(best):
                if setting in points or _is_hopeless(setting, points, max_p99_ms):
                    continue
                if not clock.has_time():
                    return list(points.values())
                points[setting] = measure(setting)
            leader = _leader(points, max_p99_ms, otherwise=best)
            is_better |= leader != best
            best = leader
    return list(points.values())


def run_off(
    points: list[Trial],
    measure: Measure,
    *,
    rounds: int,
    max_p99_ms: float | None,
    clock: Clock,
) -> dict[ServingConfig, list[Trial]]:
    """Return the rounds of the best few settings and of the first, measured anew in turns.

    Anew, for what was fastest once was also lucky.
    """
    chosen = [*finalists(points, max_p99_ms), points[0].setting]
    found: dict[ServingConfig, list[Trial]] = {setting: [] for setting in chosen}
    for number in range(rounds):
        if number and not clock.has_time():
            break
        for setting, measured in found.items():
            measured.append(measure(setting))
    return found


def finalists(points: list[Trial], max_p99_ms: float | None) -> list[ServingConfig]:
    """Return the settings to look at again, the best first."""
    leader = choose(points, max_p99_ms)
    others = sorted(
        (point for point in points if point is not leader and point.fault is None),
        key=lambda point: -point.rate(max_p99_ms),
    )
    least = NEAR * leader.rate(max_p99_ms)
    near = [point for point in others if least and point.rate(max_p99_ms) >= least]
    return [point.setting for point in (leader, *near[: FINALISTS - 1])]


def winner(rounds: dict[ServingConfig, list[Trial]], max_p99_ms: float | None) -> Trial:
    """Return the pooled point of the setting that did best in the run-off."""
    return choose([pool(measured) for measured in rounds.values()], max_p99_ms)


def _leader(
    points: dict[ServingConfig, Trial], max_p99_ms: float | None, *, otherwise: ServingConfig
) -> ServingConfig:
    if all(point.fault is not None for point in points.values()):
        return otherwise
    return choose(points.values(), max_p99_ms).setting


def _is_hopeless(
    setting: ServingConfig, points: dict[ServingConfig, Trial], max_p99_ms: float | None
) -> bool:
    rates = [(point.setting, point.rate(max_p99_ms)) for point in points.values()]
    measured = [(one, rate) for one, rate in rates if rate > 0]
    if not measured:
        return False
    model = fit(measured)
    fastest = max(rate for _, rate in measured)
    return model.knows(setting) and model.predict(setting) < HOPELESS * fastest
