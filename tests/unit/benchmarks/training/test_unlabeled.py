"""What the benchmark of unlabeled photos compares, and its table."""

from pathlib import Path

from benchmarks.training.unlabeled import Command, candidates, table


def test_the_benchmark_changes_nothing_but_what_is_trained_on() -> None:
    command = Command(data=Path("clothing"))
    configs = [config.to_dict() for config in candidates(command).values()]
    head, whole, head_with, whole_with = configs
    for alone, both in ((head, head_with), (whole, whole_with)):
        assert {name for name in both if both[name] != alone[name]} == {"unlabeled"}
    assert {name for name in head if head[name] != whole[name]} == {"freeze"}


def test_the_table_has_the_best_first() -> None:
    results = {
        "architecture": "resnet18", "labels_per_class": 10, "image_size_px": 64, "test_n": 372, "unlabeled_n": 2968,
        "accuracies": {"labels alone": [0.4, 0.5], "both": [0.5, 0.6]},
    }  # fmt: skip
    lines = table(results).splitlines()
    assert lines[2:4] == ["| both | **55.0 ± 7.1 %** |", "| labels alone | 45.0 ± 7.1 % |"]
    assert "2 draws" in lines[-1]
