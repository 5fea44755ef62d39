"""The capacity report: one file that opens offline, with the figures and what they mean."""

import re

import pytest

from serving.archive.reader import read_archive
from tests.unit.tuning.helpers import START, level, measure, trial
from tuning.report import (
    capacity_rows,
    cost_per_million,
    format_effects,
    format_speedup,
    write_report,
)
from tuning.result import TuningGoal, TuningResult, write_result
from tuning.space import Host
from tuning.trial import OpenLevel, Trial
from tuning.tune import effects_of

FASTER = START.changed({"workers": 1, "batch_size": 8})


@pytest.fixture
def result_of(archive_maker):
    def make(trials: list[Trial] | None = None, **goal: float) -> TuningResult:
        measured = trials or [
            measure(START.changed(change))
            for change in ({}, {"engine": "eager"}, {"workers": 1}, {"batch_size": 8})
        ]
        bounds = TuningGoal(**goal)
        return TuningResult(
            archive=read_archive(archive_maker()),
            host=Host(cores=2, gpus=0, engines=("onnx", "eager")),
            goal=bounds,
            trials=measured,
            before=trial(START, level(60, 40, connections=2), level(65, 90)),
            chosen=trial(FASTER, level(80, 45, connections=2), level(90, 100)),
            open_levels=[OpenLevel(load=0.8, requests_per_s=72, p50_ms=31, p99_ms=77, failed=0)],
            effects=effects_of(measured, bounds.max_p99_ms),
            photo_count=12,
            seconds=99,
        )

    return make


def test_the_page_is_one_file_that_opens_offline(result_of, tmp_path):
    page = write_report(result_of(price_per_hour=1.0, max_p99_ms=95), tmp_path).read_text()
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)""", page)
    assert page.count("data:image/svg+xml") == 3
    assert "80.0 photos/s" in page
    assert "<td>80 %</td><td>72.0</td>" in page
    assert "color-scheme: light dark" in page
    assert "within 95 ms" in page


def test_the_figures_are_those_within_the_bound(result_of):
    table = capacity_rows(result_of(max_p99_ms=95, price_per_hour=3.6))
    rows = {name: (before, tuned) for name, before, tuned in table}
    assert rows["photos per second"] == ("65.0", "80.0")
    assert rows["photos per second and core"] == ("32.5", "40.0")
    assert rows["cost of a million photos at 3.6 an hour"] == ("15.38", "12.50")
    assert "memory of the GPUs, MB" not in rows


def test_cost_is_price_over_throughput():
    assert cost_per_million(3600, 1000) == pytest.approx(1000)


def test_settings_that_mattered_are_listed_by_their_effect_and_equal_ones_by_their_field(result_of):
    # Two workers instead of one are worth as much as ONNX Runtime instead of eager PyTorch.
    assert format_effects(result_of()).split(". ") == [
        "Workers: 2 is 2.00 times as fast as 1",
        "Engine: onnx is 2.00 times as fast as eager",
        "Largest batch: 8 is 1.07 times as fast as 4.",
    ]


def test_the_speedup_over_the_current_configuration_is_reported(result_of):
    assert format_speedup(result_of()) == "With the current configuration: 65.0 photos/s."
    assert result_of().speedup == pytest.approx(90 / 65)


def test_the_page_says_when_no_configuration_keeps_the_bound(result_of, tmp_path):
    result = result_of(max_p99_ms=1)
    assert not result.meets_goal
    page = write_report(result, tmp_path).read_text()
    assert "No configuration keeps p99 within 1 ms" in page
    assert "The nearest reaches 45 ms" in page


def test_a_configuration_that_could_not_be_served_is_in_the_table(result_of, tmp_path):
    failed = trial(FASTER, error="a worker died")
    page = write_report(result_of([measure(START), failed]), tmp_path).read_text()
    assert "a worker died" in page


def test_the_configuration_and_the_figures_are_written(result_of, tmp_path):
    folder = tmp_path / "new" / "folder"
    write_result(result_of(), folder)
    assert "batchSize: 8" in (folder / "model-config.yaml").read_text()
    assert '"speedup": 1.385' in (folder / "tuning.json").read_text()
