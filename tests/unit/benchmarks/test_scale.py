"""docs/scale.md quotes what was measured, and says no more than that."""

import json
from pathlib import Path

import pytest

from benchmarks import fleet, scale

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "scale.md").read_text()
RESULTS = json.loads(scale.RESULTS.read_text())


def test_the_documents_tables_are_the_files():
    for part in scale.table(RESULTS).strip().split("\n\n"):
        assert part in DOCUMENT


def test_the_frontends_table_is_computed_from_the_files():
    told = next(one for one in RESULTS.values() if fleet.is_wanted(one, workers=2, batch_size=1))
    assert fleet.frontend_table(told).strip() in DOCUMENT


def test_the_model_was_checked_at_both_loads_and_every_request_was_answered():
    for told in RESULTS.values():
        assert [one["load"] for one in told["open"]] == list(scale.LOADS)
        assert all(one["failed"] == 0 for one in told["open"])


def test_several_hosts_have_as_many_workers_and_as_much_capacity():
    told = next(iter(RESULTS.values()))
    one, four = fleet.service_of(told), fleet.service_of(told, hosts=4)
    assert len(four.slowdowns) == 4 * len(one.slowdowns)
    assert four.capacity_per_s == pytest.approx(4 * one.capacity_per_s)
