"""The search, on hosts that are formulas: it finds the best setting, with few measurements, within the bound."""

import itertools

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tuning.effects import fit
from tuning.search import descend, finalists, run_off, winner
from tuning.serving_config import ServingConfig
from tuning.space import Host, make_space
from tuning.trial import Level, Trial, choose, pool

START = ServingConfig(workers=2, threads=1, batch_size=4, max_delay_ms=1, engine="onnx")
SPACE = make_space(Host(cores=2, gpus=0, engines=("onnx", "eager")))


class Endless:
    def has_time(self) -> bool:
        return True


class Few:
    def __init__(self, count: int) -> None:
        self.left = count

    def has_time(self) -> bool:
        self.left -= 1
        return self.left >= 0


def level(rate: float, p99_ms: float = 50.0, *, connections: int = 8, failed: int = 0) -> Level:
    return Level(
        connections=connections, photos_per_s=rate, p50_ms=20.0, p99_ms=p99_ms, failed=failed
    )


def point(
    setting: ServingConfig, *levels: Level, memory_mb: float = 1000, fault: str | None = None
):
    return Trial(setting=setting, levels=levels, memory_mb=memory_mb, fault=fault)


def host(setting: ServingConfig) -> Trial:
    """Two cores: a worker uses one, several threads lose a fifth, a third worker gets in the way."""
    used = min(2.0, setting.workers * (1 + 0.6 * (setting.threads - 1)))
    crowd = max(0, setting.workers * setting.threads - 2)
    rate = 30 * used * (1 - 0.1 * crowd) * (0.5 if setting.engine == "eager" else 1)
    rate *= 1 + 0.02 * setting.batch_size
    return point(setting, level(rate, 10 + setting.batch_size * 8 + setting.max_delay_ms))


def whole_grid():
    found = [START]
    for axis in SPACE.axes:
        found = [changed for one in found for changed in axis.around(one)]
    return found


def test_the_best_of_the_grid_is_found_without_trying_all_of_it():
    grid = [host(setting) for setting in whole_grid()]
    points = descend(START, SPACE, host, max_p99_ms=None, clock=Endless())
    best = choose(grid, None).rate(None)
    assert choose(points, None).rate(None) >= 0.98 * best
    assert len(points) < len(grid) / 3
    assert len({one.setting for one in points}) == len(points)


def test_a_bound_changes_what_is_best():
    points = descend(START, SPACE, host, max_p99_ms=40, clock=Endless())
    chosen = choose(points, 40)
    best = choose([host(setting) for setting in whole_grid()], 40)
    assert chosen.best(40) is not None
    assert chosen.setting == best.setting
    assert chosen.setting.batch_size < 8


@given(
    factors=st.fixed_dictionaries(
        {
            "workers": st.lists(st.floats(0.3, 1), min_size=4, max_size=4),
            "threads": st.lists(st.floats(0.3, 1), min_size=4, max_size=4),
            "engine": st.floats(0.3, 1.5),
            "batch": st.lists(st.floats(0.5, 1), min_size=17, max_size=17),
        }
    )
)
@hypothesis_settings(max_examples=25)
def test_where_settings_do_not_interact_the_best_is_found(factors):
    def measure(setting: ServingConfig) -> Trial:
        rate = 50 * factors["workers"][setting.workers] * factors["threads"][setting.threads]
        rate *= factors["batch"][setting.batch_size]
        return point(setting, level(rate * (factors["engine"] if setting.engine == "eager" else 1)))

    points = descend(START, SPACE, measure, max_p99_ms=None, clock=Endless())
    best = max(measure(setting).rate(None) for setting in whole_grid())
    # Workers and threads are one axis, in pairs; each axis is left at its best but for what counts as equal.
    assert choose(points, None).rate(None) >= 0.9 * best


def test_the_search_stops_when_its_time_is_over_and_keeps_what_it_has():
    points = descend(START, SPACE, host, max_p99_ms=None, clock=Few(3))
    assert len(points) == 4


def test_settings_that_cannot_be_served_are_passed_over():
    def measure(setting: ServingConfig) -> Trial:
        return point(setting, fault="too large") if setting.workers > 1 else host(setting)

    points = descend(START, SPACE, measure, max_p99_ms=None, clock=Endless())
    assert points[0].fault == "too large"
    assert choose(points, None).setting.workers == 1


def test_failed_requests_disqualify():
    good, bad = point(START, level(10)), point(START.changed({"threads": 2}), level(90, failed=1))
    assert choose([bad, good], None) is good


def test_of_equally_fast_settings_the_sooner_then_the_smaller_wins():
    late = point(START, level(100, 400))
    soon = point(START.changed({"batch_size": 1}), level(99, 100), memory_mb=2000)
    small = point(START.changed({"batch_size": 2}), level(98.5, 101), memory_mb=900)
    assert choose([late, soon, small], None) is small
    assert choose([late, soon], None) is soon


def test_without_one_within_the_bound_the_nearest_is_chosen():
    far, near = point(START, level(100, 400)), point(START.changed({"threads": 2}), level(5, 90))
    assert choose([far, near], 50) is near
    assert near.best(50) is None


def test_the_run_off_meets_the_best_and_the_first_again_in_turns():
    points = [host(setting) for setting in whole_grid()]
    order: list[ServingConfig] = []

    def measure(setting: ServingConfig) -> Trial:
        order.append(setting)
        return host(setting)

    rounds = run_off(points, measure, rounds=2, max_p99_ms=None, clock=Endless())
    assert points[0].setting in rounds
    assert set(finalists(points, None)) <= set(rounds)
    assert order == [*rounds, *rounds]
    assert winner(rounds, None).rate(None) == max(one.rate(None) for one in points)


def test_rounds_are_pooled_by_their_medians():
    rounds = [point(START, level(rate, p99)) for rate, p99 in ((10, 90), (30, 70), (20, 500))]
    pooled = pool([*rounds, point(START, fault="a worker died")])
    assert (pooled.levels[0].photos_per_s, pooled.levels[0].p99_ms) == (20, 90)
    assert pool([point(START, fault="never")]).fault == "never"


def test_effects_are_the_factors_the_rates_were_made_of():
    workers, engines = {1: 1.0, 2: 1.9, 3: 1.7}, {"onnx": 1.0, "eager": 0.5}
    measured = [
        (
            START.changed({"workers": count, "engine": engine}),
            20 * workers[count] * engines[engine],
        )
        for count, engine in itertools.product(workers, engines)
    ]
    effects = fit(measured).effects()
    assert [effect.name for effect in effects] == ["engine", "workers"]
    assert effects[0].factors == pytest.approx({"eager": 1.0, "onnx": 2.0})
    assert effects[1].factors == pytest.approx(workers)
    assert effects[1].range == pytest.approx(0.9)


def test_an_effect_is_told_apart_where_settings_changed_one_at_a_time():
    slower, slowest = START.changed({"workers": 1}), START.changed({"engine": "eager"})
    measured = [(START, 40.0), (slower, 20.0), (slowest, 10.0)]
    model = fit(measured)
    unseen = START.changed({"workers": 1, "engine": "eager"})
    assert model.knows(unseen)
    assert model.predict(unseen) == pytest.approx(5.0)
    assert not model.knows(START.changed({"workers": 9}))
