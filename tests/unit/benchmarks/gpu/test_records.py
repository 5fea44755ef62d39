"""Figures are written at once, with their aim; the table shows every one of them."""

import pytest

from benchmarks import document
from benchmarks.gpu import table
from benchmarks.gpu.records import Aim, Records
from benchmarks.gpu.steps import STEPS


@pytest.mark.parametrize(
    ("aim", "value", "is_met"),
    [
        (Aim(at_least=5), 5, True),
        (Aim(at_least=5), 4.99, False),
        (Aim(at_most=0.02), 0.02, True),
        (Aim(at_most=0.02), 0.03, False),
        (Aim(at_most=0.02), float("nan"), False),
        (Aim(at_least=0.9), float("nan"), False),
    ],
)
def test_an_aim_is_met_within_its_limits(aim: Aim, value: float, is_met: bool) -> None:
    assert aim.is_met(value) is is_met


def test_records_survive_a_line_that_was_cut_off(tmp_path) -> None:
    records = Records(tmp_path / "results.jsonl")
    assert records.figure("server", "speed", 3, "requests/s")
    assert not records.figure("server", "difference", float("nan"), "", Aim(at_most=1))
    with records.path.open("a") as file:
        file.write('{"step": "serv')
    assert [record["value"] for record in records.read()] == [3.0, None]


def test_the_table_has_every_figure_and_says_what_was_not_measured(tmp_path) -> None:
    records = Records(tmp_path / "results.jsonl")
    records.figure("server", "faster | than", 1234.5, "requests/s", Aim(at_least=2000))
    records.text("server", "profile", ["conv, 3 calls", "copy, 2 calls"])
    records.ended("server", "done", 12.34)
    text = table.render(records.read())
    assert f"| {STEPS['server'].title} (done, 12.3 s) | value | aim |" in text
    assert "| faster / than | 1,234.5 requests/s | ≥ 2000: **missed** |" in text
    assert "| profile: conv, 3 calls | | |" in text
    assert text.count(table.NOT_MEASURED) == 2 * (len(STEPS) - 1)


def test_a_dry_run_is_not_published(tmp_path) -> None:
    records = Records(tmp_path / "results.jsonl")
    records.ended("server", "done", 1)
    with pytest.raises(SystemExit, match="dry run"):
        table.publish(records.read())


def test_the_page_quotes_the_results() -> None:
    assert document.quoted("gpu") == table.published()
