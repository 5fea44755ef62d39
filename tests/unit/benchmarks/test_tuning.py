"""The tuner's search, held against a whole grid that was measured once."""

import json
from pathlib import Path

from benchmarks import tuning

ROOT = Path(__file__).parents[3]
TOLD = json.loads((ROOT / "benchmarks" / "tuning.json").read_text())


def test_the_whole_grid_was_measured():
    measured = [one["setting"] for one in TOLD["grid"]]
    assert measured == [setting.to_dict() for setting in tuning.settings_of(tuning.GRID)]


def test_the_search_finds_a_setting_within_five_percent_of_the_best_with_half_the_measurements():
    found = tuning.search_again(TOLD["grid"])
    assert found["ratio"] >= 0.95
    assert found["tried"] <= found["of"] / 2


def test_what_the_tuner_picked_is_within_five_percent_of_the_best():
    assert len(TOLD["duel"]) == tuning.ROUNDS
    assert TOLD["ratio"] >= 0.95
