"""The tables of docs/scale.md are those of the committed results."""

import json

import pytest

from benchmarks.measurements import ROOT
from benchmarks.scale import fleet, host

DOCUMENT = (ROOT / "docs" / "scale.md").read_text()
RESULTS = json.loads(host.RESULTS.read_text())


def test_the_tables_of_the_page_are_those_of_the_results():
    for part in host.table(RESULTS).strip().split("\n\n"):
        assert part in DOCUMENT


def test_the_frontend_s_table_is_computed_from_the_results():
    entry = next(
        entry for entry in RESULTS.values() if fleet.is_wanted(entry, workers=2, batch_size=1)
    )
    assert fleet.frontend_table(entry).strip() in DOCUMENT


def test_the_model_was_checked_at_both_loads_and_every_request_was_answered():
    for entry in RESULTS.values():
        assert [loop["load"] for loop in entry["open"]] == list(host.LOADS)
        assert all(loop["failed"] == 0 for loop in entry["open"])


def test_several_hosts_have_as_many_workers_and_as_much_capacity():
    entry = next(iter(RESULTS.values()))
    one, four = fleet.service_of(entry), fleet.service_of(entry, hosts=4)
    assert len(four.slowdowns) == 4 * len(one.slowdowns)
    assert four.capacity_per_s == pytest.approx(4 * one.capacity_per_s)
