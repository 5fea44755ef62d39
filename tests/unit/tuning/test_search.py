"""The search, on hosts that are formulas: it finds the best configuration within the bound, with few trials."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.tuning.helpers import START, level, measure, trial
from tuning.search import descend, finalists, run_off, winner
from tuning.serving_config import ServingConfig
from tuning.space import Host, make_space
from tuning.trial import Trial, choose, pool

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


def whole_grid() -> list[ServingConfig]:
    configs = [START]
    for axis in SPACE.axes:
        configs = [changed for config in configs for changed in axis.around(config)]
    return configs


def test_the_best_of_the_grid_is_found_without_trying_all_of_it():
    grid = [measure(config) for config in whole_grid()]
    trials = descend(START, SPACE, measure, max_p99_ms=None, clock=Endless())
    best = choose(grid, None).photos_per_s(None)
    assert choose(trials, None).photos_per_s(None) >= 0.98 * best
    assert len(trials) < len(grid) / 3
    assert len({tried.config for tried in trials}) == len(trials)


def test_a_bound_changes_what_is_best():
    trials = descend(START, SPACE, measure, max_p99_ms=40, clock=Endless())
    chosen = choose(trials, 40)
    best = choose([measure(config) for config in whole_grid()], 40)
    assert chosen.best_level(40) is not None
    assert chosen.config == best.config
    assert chosen.config.batch_size < 8


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
    def measure_factors(config: ServingConfig) -> Trial:
        rate = 50 * factors["workers"][config.workers] * factors["threads"][config.threads]
        rate *= factors["batch"][config.batch_size]
        return trial(config, level(rate * (factors["engine"] if config.engine == "eager" else 1)))

    trials = descend(START, SPACE, measure_factors, max_p99_ms=None, clock=Endless())
    best = max(measure_factors(config).photos_per_s(None) for config in whole_grid())
    # Workers and threads are one axis, in pairs; each axis is left at its best but for what counts as equal.
    assert choose(trials, None).photos_per_s(None) >= 0.9 * best


def test_the_search_stops_when_its_time_is_over_and_keeps_what_it_has():
    trials = descend(START, SPACE, measure, max_p99_ms=None, clock=Few(3))
    assert len(trials) == 4


def test_configurations_that_cannot_be_served_are_skipped():
    def measure_small(config: ServingConfig) -> Trial:
        return trial(config, error="too large") if config.workers > 1 else measure(config)

    trials = descend(START, SPACE, measure_small, max_p99_ms=None, clock=Endless())
    assert trials[0].error == "too large"
    assert choose(trials, None).config.workers == 1


def test_failed_requests_disqualify():
    good, bad = trial(START, level(10)), trial(START.changed({"threads": 2}), level(90, failed=1))
    assert choose([bad, good], None) is good


def test_of_equally_fast_configurations_the_lower_p99_wins_and_then_the_smaller_memory():
    late = trial(START, level(100, 400))
    soon = trial(START.changed({"batch_size": 1}), level(99, 100), memory_mb=2000)
    small = trial(START.changed({"batch_size": 2}), level(98.5, 101), memory_mb=900)
    assert choose([late, soon, small], None) is small
    assert choose([late, soon], None) is soon


def test_where_none_keeps_the_bound_the_nearest_is_chosen():
    far, near = trial(START, level(100, 400)), trial(START.changed({"threads": 2}), level(5, 90))
    assert choose([far, near], 50) is near
    assert near.best_level(50) is None


def test_the_run_off_measures_the_best_and_the_first_again_in_turns():
    trials = [measure(config) for config in whole_grid()]
    order: list[ServingConfig] = []

    def measure_in_order(config: ServingConfig) -> Trial:
        order.append(config)
        return measure(config)

    rounds = run_off(trials, measure_in_order, rounds=2, max_p99_ms=None, clock=Endless())
    assert trials[0].config in rounds
    assert set(finalists(trials, None)) <= set(rounds)
    assert order == [*rounds, *rounds]
    best = max(tried.photos_per_s(None) for tried in trials)
    assert winner(rounds, None).photos_per_s(None) == pytest.approx(best)


def test_rounds_are_pooled_by_their_medians():
    rounds = [trial(START, level(rate, p99_ms)) for rate, p99_ms in ((10, 90), (30, 70), (20, 500))]
    pooled = pool([*rounds, trial(START, error="a worker died")])
    assert (pooled.levels[0].photos_per_s, pooled.levels[0].p99_ms) == (20, 90)
    assert pool([trial(START, error="never")]).error == "never"
