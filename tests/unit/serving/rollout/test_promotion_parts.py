"""What a promotion is made of, without a server: record, journal, gates, the watch, what a killed one leaves."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InputError
from serving.rollout import journal
from serving.rollout.bake import _fault_in
from serving.rollout.gate_photos import read_labelled_photos
from serving.rollout.gates import Gates, percentile
from serving.rollout.live_record import FILE_NAME, Deployment, Entry, read_record, write_record
from serving.rollout.metrics_page import Counts, parse_counts
from serving.rollout.promotion import PromotionOptions, choose_model
from serving.rollout.recovery import _leftovers

PAGE = """# HELP handler_predictions_total x
# TYPE handler_predictions_total counter
handler_predictions_total{model="m",version="1.0",transport="http",label="hat",hostname="h",} 7.0
handler_predictions_total{model="m",version="1.0",transport="grpc",label="shoe",hostname="h",} 3.0
# HELP handler_errors_total x
# TYPE handler_errors_total counter
handler_errors_total{model="m",version="1.0",transport="http",code="internal",hostname="h",} 2.0
handler_errors_total{model="m",version="1.0",transport="http",code="empty_body",hostname="h",} 4.0
# HELP handler_total_seconds x
# TYPE handler_total_seconds histogram
handler_total_seconds_bucket{model="m",version="1.0",transport="http",hostname="h",le="0.01",} 50.0
handler_total_seconds_bucket{model="m",version="1.0",transport="http",hostname="h",le="0.1",} 99.0
handler_total_seconds_bucket{model="m",version="1.0",transport="http",hostname="h",le="+Inf",} 100.0
handler_total_seconds_count{model="m",version="1.0",transport="http",hostname="h",} 100.0
handler_total_seconds_sum{model="m",version="1.0",transport="http",hostname="h",} 3.0
# HELP ts_inference_requests_total x
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="m",model_version="default",hostname="h",} 9.0
"""


def entry(version: str) -> Entry:
    return Entry(version=version, archive=f"m-{version}.mar", sha256="0" * 64, since="now", why="")


def test_each_promotion_keeps_as_many_versions_as_told() -> None:
    deployment = Deployment(live=entry("1"))
    for version in ("2", "3"):
        deployment = deployment.succeeded_by(entry(version), keep=2)
    assert (deployment.live.version, [one.version for one in deployment.kept]) == ("3", ["2", "1"])
    again = deployment.succeeded_by(entry("2"), keep=2)
    assert [one.version for one in again.kept] == ["3", "1"]
    assert deployment.succeeded_by(entry("4"), keep=0).previous is None
    assert [one.version for one in deployment.without("2").kept] == ["1"]


def test_the_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = {"m": Deployment(live=entry("3"), kept=(entry("2"), entry("1")))}
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    (tmp_path / FILE_NAME).write_text('{"models": {"m": {"live": 3}}}')
    with pytest.raises(InputError, match="cannot be read"):
        read_record(tmp_path)


def test_the_journal_names_what_was_begun_until_it_is_ended(tmp_path: Path) -> None:
    intent = journal.Intent(model="m", version="2", was_loaded=False, evicted=("0",))
    assert journal.read_intent(tmp_path) is None
    journal.begin(tmp_path, intent)
    assert journal.read_intent(tmp_path) == intent
    journal.end(tmp_path)
    journal.end(tmp_path)
    assert journal.read_intent(tmp_path) is None
    (tmp_path / journal.FILE_NAME).write_text("{not json")
    assert journal.read_intent(tmp_path) is None


def test_a_cut_off_promotion_leaves_its_newcomer_or_what_evicted() -> None:
    intent = journal.Intent(model="m", version="2", was_loaded=False, evicted=("0",))
    before = Deployment(live=entry("1"), kept=(entry("0"),))
    assert _leftovers(intent, before) == ["2"]
    assert _leftovers(intent, before.succeeded_by(entry("2"), keep=1)) == ["0"]
    assert _leftovers(replace(intent, was_loaded=True), before) == []
    assert _leftovers(intent, None) == ["2"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"min_accuracy": 0.9}, "--gate-data"),
        ({"max_drop": 0.1}, "--gate-data"),
        ({"shadow": 5}, "--gate-data"),
        ({"shadow": -1}, "--shadow"),
        ({"min_accuracy": 1.5}, "--min-accuracy"),
        ({"max_p99_ms": 0.0}, "--max-p99-ms"),
    ],
)
def test_gates_that_make_no_sense_are_refused(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Gates(**wrong)  # type: ignore[arg-type]


def test_terms_below_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="keep"):
        PromotionOptions(keep=-1)


def test_gate_photos_take_turns_between_the_classes(tmp_path: Path) -> None:
    for name in ("hat/1.jpg", "hat/2.jpg", "shoe/1.jpg", "shoe/.hidden"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    found = read_labelled_photos(tmp_path, ("hat", "shoe", "coat"))
    assert [(one.label, one.path.name) for one in found] == [
        ("hat", "1.jpg"),
        ("shoe", "1.jpg"),
        ("hat", "2.jpg"),
    ]
    with pytest.raises(InputError, match="'shoe', which is no class"):
        read_labelled_photos(tmp_path, ("hat",))
    with pytest.raises(InputError, match="no folder"):
        read_labelled_photos(tmp_path / "absent", ("hat",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no photo"):
        read_labelled_photos(tmp_path / "empty", ("hat",))


def test_counts_are_read_by_version_over_both_transports() -> None:
    counts = parse_counts(PAGE)
    assert set(counts) == {("m", "1.0")}
    one = counts["m", "1.0"]
    assert (one.images, one.errors, one.faults) == (10, {"internal": 2, "empty_body": 4}, 2)
    assert one.requests == 16
    assert one.percentile_ms(0.5) == pytest.approx(10.0)
    # Within a bucket linear; what is beyond the last bound counts as that bound.
    assert one.percentile_ms(0.745) == pytest.approx(55.0)
    assert one.percentile_ms(0.999) == pytest.approx(100.0)
    assert one.since(one).requests == 0
    assert one.since(one).percentile_ms(0.5) is None
    assert Counts().percentile_ms(0.5) is None


def test_the_watch_tells_faults_from_bad_luck() -> None:
    assert _fault_in(Counts(images=1000, errors={"empty_body": 500}), None) is None
    assert _fault_in(Counts(images=10, errors={"internal": 2}), None) is None
    assert _fault_in(Counts(images=1000, errors={"internal": 5}), None) is None
    assert "20 of 1020" in str(_fault_in(Counts(images=1000, errors={"internal": 20}), None))
    slow = Counts(images=100, buckets={0.1: 50.0, 1.0: 100.0, float("inf"): 100.0})
    assert "more than 500 ms" in str(_fault_in(slow, 500.0))
    assert _fault_in(slow, 5000.0) is None
    assert _fault_in(replace(slow, images=10), 500.0) is None


def test_a_model_needs_its_name_only_among_others() -> None:
    one = {"m": Deployment(live=entry("1"))}
    assert choose_model(one, None) == "m"
    with pytest.raises(InputError, match="name a model that is live"):
        choose_model(one | {"n": Deployment(live=entry("1"))}, None)
    with pytest.raises(InputError, match="'x' is not"):
        choose_model(one, "x")


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= int(share * len(values))
