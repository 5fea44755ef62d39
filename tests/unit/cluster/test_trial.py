"""What of a candidate's counts is a fault beside the live version's, and what may be chance."""

import pytest

from cluster.live_state import Agreement
from cluster.rollout.trial import TrialOptions, compare
from cluster.tally import Tally
from serving.errors import InputError
from serving.rollout.metrics_page import Counts
from tests.unit.cluster.helpers import ANSWER

OPTIONS = TrialOptions(percent=10.0, seconds=60.0)
NONE = Agreement()


def counts(*, calls: int = 0, ms: float = 10.0, **errors: int) -> Counts:
    """Return the counts of as many calls, each of which took so long."""
    tally = Tally()
    for _ in range(calls):
        tally.count("m", "v", ANSWER, seconds=ms / 1e3)
    for code, count in errors.items():
        for _ in range(count):
            tally.count_error("m", "v", code)
    return tally.counts.get(("m", "v"), Counts())


def fault(
    candidate: Counts,
    live: Counts,
    agreement: Agreement = NONE,
    options: TrialOptions = OPTIONS,
) -> str | None:
    return compare(candidate, live, agreement, options, live="1.0")


def test_equal_versions_have_no_fault() -> None:
    same = counts(calls=100, internal=1, empty_body=5, overloaded=20)
    assert fault(same, same, Agreement(compared=100, agreed=95)) is None
    assert fault(counts(), counts()) is None


@pytest.mark.parametrize(
    ("candidate", "live", "said"),
    [
        (counts(calls=50, internal=3), counts(calls=900), "3 of its 53 requests failed"),
        (counts(calls=50, internal=30), counts(calls=900, internal=20), "30 of its 80"),
        (counts(calls=50, internal=2), counts(calls=900), None),
        # The cluster's trouble, not the version's.
        (counts(calls=50, internal=3), counts(calls=900, internal=90), None),
        (counts(calls=50, undecodable_image=10), counts(calls=900), "it rejected 10 of 60"),
        (counts(calls=50, undecodable_image=10), counts(calls=900, undecodable_image=180), None),
        (counts(calls=50, overloaded=40), counts(calls=900), None),
    ],
)
def test_errors_count_where_the_live_version_has_fewer(
    candidate: Counts, live: Counts, said: str | None
) -> None:
    assert str(fault(candidate, live)).startswith(str(said))


@pytest.mark.parametrize(
    ("calls", "ms", "is_slow"),
    [(20, 100.0, True), (19, 100.0, False), (20, 25.0, False), (200, 100.0, True)],
)
def test_a_candidate_may_take_twice_the_live_versions_time(
    calls: int, ms: float, is_slow: bool
) -> None:
    live = counts(calls=500, ms=20.0)
    assert ("ms, 1.0's" in str(fault(counts(calls=calls, ms=ms), live))) == is_slow


def test_two_slow_calls_and_a_few_milliseconds_decide_nothing() -> None:
    slow = counts(calls=18, ms=10.0).plus(counts(calls=2, ms=5_000.0))
    assert fault(slow, counts(calls=500)) is None
    assert fault(counts(calls=100, ms=12.0), counts(calls=100, ms=2.0)) is None
    assert fault(counts(calls=100, ms=500.0), counts(calls=10)) is None


def test_a_limit_of_the_users_own_takes_the_place_of_the_comparison() -> None:
    limited = TrialOptions(percent=10.0, seconds=60.0, max_p99_ms=50.0)
    slow, live = counts(calls=30, ms=100.0), counts(calls=100, ms=90.0)
    assert "more than 50 ms" in str(fault(slow, live, options=limited))
    assert fault(counts(calls=30, ms=40.0), counts(calls=100, ms=5.0), options=limited) is None


@pytest.mark.parametrize(
    ("compared", "agreed", "is_fault"),
    [(9, 0, False), (10, 3, True), (10, 6, False), (400, 290, True), (400, 310, False)],
)
def test_photos_must_be_answered_alike_beyond_chance(
    compared: int, agreed: int, is_fault: bool
) -> None:
    said = fault(counts(), counts(), Agreement(compared=compared, agreed=agreed))
    assert (said is not None) == is_fault


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"percent": 0.0}, "--percent must be above 0"),
        ({"percent": 101.0}, "not 101"),
        ({"seconds": 0.0}, "give --bake SECONDS"),
        ({"min_agreement": 1.5}, "--min-agreement"),
    ],
)
def test_options_out_of_range_are_refused(fields: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        TrialOptions(**{"percent": 10.0, "seconds": 1.0, **fields})
