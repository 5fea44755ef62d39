"""The tuner's search, compared with a whole grid that was measured once."""

import json

from benchmarks import tuning

RESULTS = json.loads(tuning.RESULTS.read_text())


def test_the_whole_grid_was_measured():
    measured = [entry["config"] for entry in RESULTS["grid"]]
    assert measured == [config.to_dict() for config in tuning.configs_of(tuning.GRID)]


def test_the_search_comes_within_five_percent_of_the_best_with_half_the_trials():
    search = tuning.search_again(RESULTS["grid"])
    assert search["ratio"] >= 0.95
    assert search["tried"] <= search["of"] / 2


def test_what_the_tuner_picked_is_within_five_percent_of_the_best():
    assert len(RESULTS["rounds"]) == tuning.ROUNDS
    assert RESULTS["ratio"] >= 0.95
