"""Which version answers: the live one, and for its share of the correlation ids the candidate."""

import hypothesis.strategies as st
from hypothesis import given

from cluster.pointer import ModelPointer, Pointer, share_of

TRIED = ModelPointer(live="1.0", loaded=("1.0", "2.0"), candidate="2.0", percent=10.0)


def test_a_candidate_gets_its_share_of_the_ids() -> None:
    chosen = [TRIED.choose(f"id-{number}") for number in range(10_000)]
    # Binomial with p = 0.1: five standard deviations are 1.5 %.
    assert 0.085 <= chosen.count("2.0") / len(chosen) <= 0.115


@given(st.text(), st.text())
def test_the_same_id_always_gets_the_same_version(candidate: str, correlation_id: str) -> None:
    assert 0 <= share_of(candidate, correlation_id) < 100
    pointer = ModelPointer(live="1.0", loaded=("1.0", candidate), candidate=candidate, percent=50.0)
    assert pointer.choose(correlation_id) == pointer.choose(correlation_id)


def test_an_id_that_got_the_candidate_keeps_it_when_the_share_grows() -> None:
    wider = ModelPointer(live="1.0", loaded=("1.0", "2.0"), candidate="2.0", percent=30.0)
    ids = [f"id-{number}" for number in range(1_000)]
    assert {each for each in ids if TRIED.choose(each) == "2.0"} < {
        each for each in ids if wider.choose(each) == "2.0"
    }


def test_another_candidate_is_tried_by_other_ids() -> None:
    ids = [f"id-{number}" for number in range(1_000)]
    first, second = (
        {each for each in ids if share_of(version, each) < 10} for version in ("2.0", "3.0")
    )
    assert len(first & second) < len(first) / 2


def test_all_or_nothing_goes_to_a_candidate_of_100_or_0_percent() -> None:
    for percent, version in ((0.0, "1.0"), (100.0, "2.0")):
        pointer = ModelPointer(live="1.0", loaded=("1.0", "2.0"), candidate="2.0", percent=percent)
        assert {pointer.choose(f"id-{number}") for number in range(500)} == {version}


def test_a_candidate_that_is_unloaded_gets_nothing() -> None:
    pointer = TRIED.without("2.0")
    assert (pointer.loaded, pointer.candidate, pointer.percent) == (("1.0",), None, 0.0)
    assert pointer.with_loaded("2.0").with_loaded("2.0").loaded == ("1.0", "2.0")


def test_a_change_has_the_next_revision_and_survives_json() -> None:
    pointer = Pointer().with_model("m", TRIED).with_model("n", TRIED).with_model("m", None)
    assert (pointer.revision, set(pointer.models)) == (3, {"n"})
    assert Pointer.from_json(pointer.to_json()) == pointer
