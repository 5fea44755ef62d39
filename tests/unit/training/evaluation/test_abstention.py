"""From which probability on a run answers, and what share of its answers is wrong then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.abstention import choose_min_probability, risk_coverage

PHOTOS = st.lists(
    st.tuples(st.floats(0, 1, width=32) | st.sampled_from([0.9, 0.5, 1.0]), st.booleans()),
    min_size=1,
    max_size=30,
)


def test_the_share_of_wrong_answers_grows_with_the_answers() -> None:
    coverage, risk = risk_coverage([0.4, 0.9, 0.7, 0.8], [False, True, False, True])
    assert coverage == [0.25, 0.5, 0.75, 1.0]
    assert risk == pytest.approx([0, 0, 1 / 3, 0.5])


def test_photos_of_equal_confidence_are_answered_together() -> None:
    coverage, risk = risk_coverage([0.9, 0.9, 0.9, 0.1], [True, False, True, True])
    assert coverage == [0.75, 1.0]
    assert risk == pytest.approx([1 / 3, 0.25])


@given(PHOTOS)
def test_all_photos_answered_are_wrong_as_often_as_the_run_is(photos) -> None:
    confidences, is_correct = zip(*photos, strict=True)
    coverage, risk = risk_coverage(confidences, is_correct)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(1 - np.mean(is_correct))
    assert coverage == sorted(set(coverage))


@pytest.mark.parametrize(
    ("target", "least"), [(1.0, 0.8), (0.7, 0.6), (0.75, 0.6), (0.76, 0.8), (0.5, 0.3)]
)
def test_the_lowest_threshold_that_reaches_the_target_is_chosen(
    target: float, least: float
) -> None:
    confidences = np.array([0.6, 0.9, 0.3, 0.8, 0.7], np.float32)
    is_correct = np.array([True, True, False, True, False])
    chosen = choose_min_probability(confidences, is_correct, target_accuracy=target)
    assert chosen == pytest.approx(least, abs=1e-4)


def test_there_is_none_where_the_surest_answer_is_wrong() -> None:
    confidences, is_correct = np.array([0.9, 0.8], np.float32), np.array([False, True])
    assert choose_min_probability(confidences, is_correct, target_accuracy=0.9) is None


def test_a_photo_that_rounding_down_would_answer_counts() -> None:
    confidences = np.array([0.90009, 0.90001], np.float32)
    is_correct = np.array([True, False])
    assert choose_min_probability(confidences, is_correct, target_accuracy=1.0) is None


@given(PHOTOS, st.floats(0.01, 1))
def test_the_answers_from_the_threshold_on_reach_the_target(photos, target: float) -> None:
    confidences = np.array([confidence for confidence, _ in photos], np.float32)
    is_correct = np.array([correct for _, correct in photos])
    least = choose_min_probability(confidences, is_correct, target_accuracy=target)
    for candidate in np.arange(0, 1, 0.05) if least is None else [least]:
        # As the handler compares.
        is_answered = confidences >= float(candidate)
        if is_answered.any():
            assert (is_correct[is_answered].mean() >= target) == (least is not None)
    assert least is None or (confidences >= least).any()
