"""Training speeds are medians over all rounds; the first epoch is apart from those that find the photos decoded."""

import json

from benchmarks.training.speed import RESULTS, summarise


def test_the_figures_are_the_medians_of_their_rounds() -> None:
    for entry in json.loads(RESULTS.read_text()).values():
        assert summarise(entry["rounds"]).items() <= entry.items()


def test_rounds_become_medians_and_ratios() -> None:
    rounds = [
        {"headswap": [12.0, 20.0], "timm": [10.0, 10.0]},
        {"headswap": [15.0, 24.0], "timm": [30.0, 12.0]},
        {"headswap": [11.0, 22.0], "timm": [8.0, 11.0]},
    ]
    figures = summarise(rounds)
    assert figures["photos_per_s"]["headswap"] == {"first_epoch": 12.0, "later_epochs": 22.0}
    assert figures["photos_per_s"]["timm"] == {"first_epoch": 10.0, "later_epochs": 11.0}
    assert figures["speedup"] == {"timm": {"first_epoch": 1.2, "later_epochs": 2.0}}
