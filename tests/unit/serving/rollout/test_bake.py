"""A version that is watched once it is live: real faults count, single errors do not, the first fault rolls it back."""

from dataclasses import replace
from pathlib import Path

import pytest

from serving.errors import PromotionError
from serving.rollout import bake
from serving.rollout.bake import _fault_in_counts
from serving.rollout.live_record import read_record, write_record
from serving.rollout.metrics_page import Counts
from serving.rollout.promotion import PromotionOptions, promote
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bake, "POLL_S", 0.01)


def test_chance_failures_do_not_count_as_faults() -> None:
    assert _fault_in_counts(Counts(images=1000, errors={"empty_body": 500}), None) is None
    assert _fault_in_counts(Counts(images=10, errors={"internal": 2}), None) is None
    assert _fault_in_counts(Counts(images=1000, errors={"internal": 5}), None) is None
    faulty = Counts(images=1000, errors={"internal": 20})
    assert "20 of 1020" in str(_fault_in_counts(faulty, None))
    slow = Counts(images=100, buckets={0.1: 50.0, 1.0: 100.0, float("inf"): 100.0})
    assert "more than 500 ms" in str(_fault_in_counts(slow, 500.0))
    assert _fault_in_counts(slow, 5000.0) is None
    assert _fault_in_counts(replace(slow, images=10), 500.0) is None


def test_a_version_without_a_fault_stays(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    sentences: list[str] = []
    options = PromotionOptions(bake_s=0.05)
    promote(session, archives["2.0"], report=sentences.append, options=options)
    assert sentences[-2:] == ["watching tiny 2.0 for 0.05 s", "0 requests in 0 s, and no fault"]
    assert server.default == "2.0"


def errors_page(count: int) -> str:
    labels = 'model="tiny",version="2.0",code="internal"'
    return f"# TYPE handler_errors_total counter\nhandler_errors_total{{{labels}}} {count}\n"


@pytest.mark.parametrize("fault", ["wrong answers", "lost worker", "errors"])
def test_the_first_fault_brings_the_version_before_back(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path], fault: str
) -> None:
    def spoil(sentence: str) -> None:
        if not sentence.startswith("watching"):
            return
        if fault == "wrong answers":
            server.wrong.add("2.0")
        elif fault == "lost worker":
            server.loaded.discard("2.0")
        else:
            server.metrics = [errors_page(0), errors_page(10)]

    with pytest.raises(PromotionError, match=r"tiny 2\.0 failed after 0 s; 1\.0 serves again"):
        promote(session, archives["2.0"], report=spoil, options=PromotionOptions(bake_s=5))
    live = read_record(session.settings.model_store)["tiny"].live
    assert (server.default, live.version) == ("1.0", "1.0")
    assert live.why.startswith("2.0 failed its bake: ")


def test_a_version_that_was_replaced_meanwhile_is_not_rolled_back(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    store = session.settings.model_store

    def replace_it(sentence: str) -> None:
        if sentence.startswith("watching"):
            server.wrong.add("2.0")
            record = read_record(store)
            write_record(
                store, {"tiny": record["tiny"].succeeded_by(record["tiny"].kept[0], keep=1)}
            )

    with pytest.raises(PromotionError, match=r"1\.0 was put live meanwhile and serves"):
        promote(session, archives["2.0"], report=replace_it, options=PromotionOptions(bake_s=5))


def test_a_first_version_with_a_fault_stays_and_is_named(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    write_record(session.settings.model_store, {})

    def spoil(sentence: str) -> None:
        if sentence.startswith("watching"):
            server.wrong.add("2.0")

    with pytest.raises(PromotionError, match=r"stays live, for no version was live before it"):
        promote(session, archives["2.0"], report=spoil, options=PromotionOptions(bake_s=5))
    assert server.default == "2.0"
