"""AUROC and the score of the highest probability, against values worked out by hand and from scratch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.unknown.auroc import auroc, max_probability_scores, without_class
from training.unknown.fitting import Head

SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("known", "unknown", "expected"),
    [
        ([1, 2], [3, 4], 1.0),
        ([3, 4], [1, 2], 0.0),
        ([1, 3], [2, 4], 0.75),
        ([1, 1], [1, 1], 0.5),
        ([0, 1], [1], 0.75),
    ],
)
def test_auroc_by_hand(known: list[int], unknown: list[int], expected: float) -> None:
    assert auroc(np.array(known), np.array(unknown)) == expected


@given(SCORES, SCORES)
def test_auroc_is_the_share_of_pairs_in_order(known: list[int], unknown: list[int]) -> None:
    pairs = [(u > k) + (u == k) / 2 for k in known for u in unknown]
    assert auroc(np.array(known), np.array(unknown)) == pytest.approx(np.mean(pairs))


def test_max_probability_is_that_of_softmax() -> None:
    head = Head(weight=np.eye(2, dtype=np.float32), bias=np.log(np.array([1, 3], np.float32)))
    features = np.array([[0, 0], [np.log(3), 0], [1000, 0]], np.float32)
    np.testing.assert_allclose(max_probability_scores(features, head), [-0.75, -0.5, -1], rtol=1e-6)


def test_a_class_is_left_out_of_the_last_layer() -> None:
    head = Head(weight=np.arange(6, dtype=np.float32).reshape(3, 2), bias=np.array([7.0, 8, 9]))
    rest = without_class(head, 1)
    assert rest.weight.tolist() == [[0, 1], [4, 5]]
    assert rest.bias.tolist() == [7, 9]
