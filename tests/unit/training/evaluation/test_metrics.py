"""Intervals, calibration and confusion against published numbers and cases counted by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.metrics import (
    calibration_error,
    fit_temperature,
    most_confused,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I: the score method without correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_wilson_interval_is_the_published_one(
    correct: int, n: int, low: float, high: float
) -> None:
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_contains_the_share(counts: tuple[int, int]) -> None:
    correct, n = counts
    low, high = wilson_interval(correct, n)
    assert 0 <= low <= correct / n + 1e-12
    assert correct / n - 1e-12 <= high <= 1


def test_a_known_temperature_is_recovered() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 4, generator=generator) * 2
    labels = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits * 3, labels) == pytest.approx(3, rel=0.1)
    assert fit_temperature(logits / 2, labels) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_few_photos_do_not_make_every_prediction_certain(count: int) -> None:
    # All correct by a small margin, or all wrong: the temperature of least loss would be 0.1, or 10.
    logits, labels = torch.tensor([[1.0, 0.0, 0.0]] * count), torch.zeros(count, dtype=torch.int64)
    assert 0.3 < fit_temperature(logits, labels) <= 1
    assert 1 <= fit_temperature(logits, labels + 1) < 2.5


def test_calibration_error_of_certain_predictions_half_of_them_correct() -> None:
    probabilities = torch.tensor([[1.0, 0.0]] * 10)
    assert calibration_error(probabilities, torch.tensor([0, 1] * 5)) == pytest.approx(0.5)


def test_the_most_confused_pairs_come_first() -> None:
    pairs = most_confused(["a", "b", "c"], [[3, 1, 0], [4, 2, 2], [0, 0, 0]])
    assert [(pair.true, pair.predicted, pair.count, pair.n) for pair in pairs] == [
        ("b", "a", 4, 8), ("b", "c", 2, 8), ("a", "b", 1, 4),
    ]  # fmt: skip
    assert most_confused(["a", "b"], [[1, 2], [3, 4]], limit=1)[0].count == 3
