import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.calibration import fit_temperature
from training.evaluation.evaluation import summarise, wilson_interval


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I: the score method without correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_the_published_one(right: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share(counted: tuple[int, int]) -> None:
    right, n = counted
    low, high = wilson_interval(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1


def test_temperature_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 4, generator=generator) * 2
    labels = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits * 3, labels) == pytest.approx(3, rel=0.1)
    assert fit_temperature(logits / 2, labels) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_few_photos_do_not_make_all_answers_sure(count: int) -> None:
    # All right by a little, or all wrong: with the least loss the temperature would be 0.1, or 10.
    logits, labels = torch.tensor([[1.0, 0.0, 0.0]] * count), torch.zeros(count, dtype=torch.int64)
    assert 0.3 < fit_temperature(logits, labels) <= 1
    assert 1 <= fit_temperature(logits, labels + 1) < 2.5


def test_summary_of_answers_counted_by_hand() -> None:
    # True classes 0 0 0 1 1 2; answers 0 0 1 1 2 2; the second choice is right for the third photo.
    logits = torch.tensor(
        [[3, 0, 0], [3, 1, 0], [2, 3, 0], [0, 3, 1], [1, 0, 3], [0, 1, 3]], dtype=torch.float32
    )
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    result = summarise(
        logits,
        labels,
        split="test",
        temperature=2.0,
        class_names=["a", "b", "c"],
        val={},
        paths=list("uvwxyz"),
        weights_sha256="",
    )
    assert result.confusion == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert result.accuracy == pytest.approx(4 / 6)
    assert [one.n for one in result.classes] == [3, 2, 1]
    assert [one.precision for one in result.classes] == pytest.approx([1, 1 / 2, 1 / 2])
    assert [one.recall for one in result.classes] == pytest.approx([2 / 3, 1 / 2, 1])
    assert [one.f1 for one in result.classes] == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert result.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    third = result.photos[2]
    assert [guess.index for guess in third.guesses] == [1, 0, 2]
    expected = torch.softmax(logits[2] / 2, 0)[[1, 0, 2]].tolist()
    assert [guess.probability for guess in third.guesses] == pytest.approx(expected)
    assert third.confidence_before == pytest.approx(float(torch.softmax(logits[2], 0).max()))


def test_a_thousand_classes_do_not_make_the_file_of_a_photo_large() -> None:
    logits = torch.randn(20, 1000, generator=torch.Generator().manual_seed(0))
    result = summarise(
        logits,
        torch.zeros(20, dtype=torch.int64),
        split="test",
        temperature=1.5,
        class_names=[str(number) for number in range(1000)],
        val={},
        paths=["photo.jpg"] * 20,
        weights_sha256="",
    )
    assert [one.guesses[0].index for one in result.photos] == logits.argmax(1).tolist()
    assert len(json.dumps(result.to_dict()["photos"], indent=2)) < 20 * 1000


def test_calibration_error_of_a_network_that_is_always_sure_and_half_right() -> None:
    logits = torch.tensor([[100.0, 0.0]] * 10)
    labels = torch.tensor([0, 1] * 5)
    result = summarise(
        logits,
        labels,
        split="test",
        temperature=1.0,
        class_names=["a", "b"],
        val={},
        paths=[str(number) for number in range(10)],
        weights_sha256="",
    )
    assert result.calibration_error == pytest.approx(0.5)
