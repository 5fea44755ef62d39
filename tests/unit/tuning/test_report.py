"""The capacity report: one file, offline, with the figures and what they mean."""

import re

import pytest

from serving.archive.reader import read_archive
from tests.unit.tuning.test_search import START, host, level, point
from tuning.report import capacity_rows, cost_per_million, effect_words, gain_words, write_report
from tuning.result import TuningGoal, TuningResult, write
from tuning.space import Host
from tuning.trial import OpenLevel, Trial
from tuning.tune import effects_of

FASTER = START.changed({"workers": 1, "batch_size": 8})


@pytest.fixture
def tuned_of(archive_maker):
    def make(points: list[Trial] | None = None, **wish: float) -> TuningResult:
        found = points or [
            host(START.changed(change))
            for change in ({}, {"engine": "eager"}, {"workers": 1}, {"batch_size": 8})
        ]
        asked = TuningGoal(**wish)
        return TuningResult(
            archive=read_archive(archive_maker()),
            host=Host(cores=2, gpus=0, engines=("onnx", "eager")),
            wish=asked,
            points=found,
            before=point(START, level(60, 40, connections=2), level(65, 90)),
            chosen=point(FASTER, level(80, 45, connections=2), level(90, 100)),
            open_levels=[OpenLevel(load=0.8, requests_per_s=72, p50_ms=31, p99_ms=77, failed=0)],
            effects=effects_of(found, asked.max_p99_ms),
            photo_count=12,
            took_s=99,
        )

    return make


def test_the_page_is_one_file_that_opens_offline(tuned_of, tmp_path):
    page = write_report(tuned_of(price_per_hour=1.0, max_p99_ms=95), tmp_path).read_text()
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)""", page)
    assert page.count("data:image/svg+xml") == 3
    assert "80.0 photos/s" in page
    assert "<td>80 %</td><td>72.0</td>" in page
    assert "color-scheme: light dark" in page
    assert "within 95 ms" in page


def test_the_figures_are_those_within_the_bound(tuned_of):
    told = capacity_rows(tuned_of(max_p99_ms=95, price_per_hour=3.6))
    rows = {name: (before, tuned) for name, before, tuned in told}
    assert rows["photos a second"] == ("65.0", "80.0")
    assert rows["photos a second and core"] == ("32.5", "40.0")
    assert rows["cost of a million photos at 3.6 an hour"] == ("15.38", "12.50")
    assert "memory of the GPUs, MB" not in rows


def test_cost_is_price_over_rate():
    assert cost_per_million(3600, 1000) == pytest.approx(1000)


def test_what_mattered_is_said_in_order(tuned_of):
    told = effect_words(tuned_of())
    assert told.split(". ")[:2] == [
        "Workers: 2 is 2.00 times as fast as 1",
        "Engine: onnx is 2.00 times as fast as eager",
    ]
    assert "Threads" not in told


def test_the_gain_is_told(tuned_of):
    assert gain_words(tuned_of()) == "Served as it is now: 65.0 photos/s."
    assert tuned_of().gain == pytest.approx(90 / 65)


def test_a_bound_nobody_keeps_is_said_and_not_hidden(tuned_of, tmp_path):
    tuned = tuned_of(max_p99_ms=1)
    assert not tuned.keeps_bound
    page = write_report(tuned, tmp_path).read_text()
    assert "No setting keeps p99 within 1 ms" in page
    assert "The nearest reaches 45 ms" in page


def test_a_setting_that_could_not_be_served_stands_in_the_table(tuned_of, tmp_path):
    broken = point(FASTER, fault="a worker died")
    assert "a worker died" in write_report(tuned_of([host(START), broken]), tmp_path).read_text()


def test_the_settings_and_figures_are_written(tuned_of, tmp_path):
    write(tuned_of(), tmp_path / "new" / "folder")
    assert "batchSize: 8" in (tmp_path / "new" / "folder" / "model-config.yaml").read_text()
    assert '"gain": 1.385' in (tmp_path / "new" / "folder" / "tuning.json").read_text()
