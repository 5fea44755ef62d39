"""What to label next: each kind of photo once, kinds without a label first, and of each kind an unsure one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headswap.improve.suggestion import suggest, uncertainties

KINDS, OF_EACH, SIZE = 5, 20, 8
NOTHING = np.zeros((0, SIZE))


@pytest.fixture
def features() -> np.ndarray:
    """Return `(100, 8)`: five kinds of photos, 20 of each in a row."""
    generator = np.random.default_rng(0)
    centres = np.eye(SIZE)[:KINDS] * 5
    return np.repeat(centres, OF_EACH, 0) + generator.normal(0, 0.1, (KINDS * OF_EACH, SIZE))


def test_the_first_are_one_of_each_kind(features: np.ndarray) -> None:
    chosen = suggest(features, np.full(100, 0.5), NOTHING, count=KINDS)
    assert sorted(index // OF_EACH for index in chosen) == list(range(KINDS))


def test_kinds_that_are_labelled_come_last(features: np.ndarray) -> None:
    labelled = features[: 2 * OF_EACH]
    waiting = features[OF_EACH:]
    chosen = suggest(waiting, np.full(len(waiting), 0.5), labelled, count=6)
    kinds = [index // OF_EACH + 1 for index in chosen]
    assert set(kinds) == {2, 3, 4}


def test_of_one_kind_the_least_sure_typical_photo_comes_first(features: np.ndarray) -> None:
    uncertainty = np.full(100, 0.1)
    centre = features[:OF_EACH].mean(0)
    typical = int(np.linalg.norm(features[:OF_EACH] - centre, axis=1).argsort()[3])
    uncertainty[typical] = 0.9
    assert typical in suggest(features, uncertainty, NOTHING, count=KINDS)


def test_an_unknown_photo_is_less_sure_than_any_known_one() -> None:
    assert uncertainties([0.99, 0.2], [True, False]).tolist() == pytest.approx([1.0, 0.8])


@settings(max_examples=50, deadline=None)
@given(
    number=st.integers(0, 30),
    labelled=st.integers(0, 10),
    count=st.integers(0, 40),
    same=st.booleans(),
)
def test_it_suggests_as_many_as_there_are_each_once(
    number: int, labelled: int, count: int, same: bool
) -> None:
    rows = np.random.default_rng(number).normal(size=(number + labelled, 4)) * (not same)
    chosen = suggest(rows[:number], np.full(number, 0.5), rows[number:], count=count)
    assert len(chosen) == len(set(chosen)) == min(number, count)
    assert all(0 <= index < number for index in chosen)
