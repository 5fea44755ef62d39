"""The unknown score: what it finds, what a file of it must hold, and what becomes of an answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from handlers.answer import Answer, make_answer
from handlers.engines.unknown import UnknownScorer, read_scorer
from handlers.errors import InternalError, WeightsError
from training.unknown.fitting import Features, Head, fit_scorer, share_of_rank, threshold_rank

GENERATOR = np.random.default_rng(0)
CENTRES = GENERATOR.normal(size=(3, 32)).astype(np.float32) * 3
HEAD = Head(weight=CENTRES, bias=np.zeros(3, np.float32))


def labelled(count: int, seed: int = 1) -> Features:
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=count)
    rows = CENTRES[labels] + generator.normal(size=(count, 32))
    return Features(rows=rows.astype(np.float32), labels=labels)


def features(count: int, seed: int = 1) -> np.ndarray:
    return labelled(count, seed).rows


@pytest.fixture(scope="module")
def scorer() -> UnknownScorer:
    return fit_scorer(labelled(200), features(100, 2), HEAD)[0]


def test_photos_of_the_classes_are_known_and_others_are_not(scorer) -> None:
    assert (scorer.scores(features(200, 3)) <= 1).mean() > 0.88
    others = np.random.default_rng(4).normal(size=(200, 32)).astype(np.float32)
    assert (scorer.scores(others) > 1).mean() > 0.95


def test_the_score_of_a_photo_does_not_depend_on_its_batch(scorer) -> None:
    rows = features(20, 5)
    alone = np.concatenate([scorer.scores(row[None]) for row in rows])
    np.testing.assert_allclose(scorer.scores(rows), alone, atol=1e-4)


@pytest.mark.parametrize(("train", "val"), [(2, 1), (3, 2), (40, 1), (500, 19)])
def test_few_photos_are_enough(train: int, val: int) -> None:
    scorer, accepted = fit_scorer(labelled(train), features(val, 2), HEAD)
    assert np.isfinite(scorer.scores(features(50, 3))).all()
    assert (scorer.scores(features(val, 2)) <= 1 + 1e-5).all()
    assert accepted.n == val
    assert 0 < accepted.expected < 1


def test_equal_features_have_a_score() -> None:
    same = np.ones((10, 32), np.float32)
    scorer, _ = fit_scorer(Features(rows=same, labels=np.arange(10) % 3), same, HEAD)
    assert np.isfinite(scorer.scores(same)).all()
    assert np.isfinite(scorer.scores(np.zeros((1, 32), np.float32))).all()


@given(n=st.integers(1, 5000), share=st.floats(0.01, 0.99))
@settings(max_examples=200)
def test_the_rank_accepts_at_least_the_share_where_there_are_photos_enough(
    n: int, share: float
) -> None:
    rank = threshold_rank(n, share)
    assert 1 <= rank <= n
    accepted = share_of_rank(rank, n)
    assert accepted.expected >= min(share, n / (n + 1)) - 1e-9
    assert accepted.deviation < 0.36


def test_the_share_is_what_new_photos_show() -> None:
    generator = np.random.default_rng(0)
    accepted = share_of_rank(threshold_rank(50, 0.9), 50)
    shares = []
    for _ in range(2000):
        threshold = np.sort(generator.random(50))[threshold_rank(50, 0.9) - 1]
        shares.append(threshold)
    assert np.mean(shares) == pytest.approx(accepted.expected, abs=0.005)
    assert np.std(shares) == pytest.approx(accepted.deviation, abs=0.005)


def test_a_file_keeps_the_scores(scorer, tmp_path) -> None:
    save_file(scorer.arrays(), tmp_path / "unknown.safetensors")
    again = read_scorer(tmp_path / "unknown.safetensors")
    rows = features(10, 6)
    np.testing.assert_array_equal(again.scores(rows), scorer.scores(rows))


@pytest.mark.parametrize(
    "changes",
    [
        {"prototypes": np.zeros((0, 32), np.float32)},
        {"components": np.zeros(32, np.float32)},
        {"scale": np.array([1, 1], np.float32)},
        {"head_bias": np.array([np.nan] * 3, np.float32)},
        {"standards": np.zeros(3, np.float32)},
        {"standards": np.zeros(6, np.float32)},
        {"discriminant_weight": np.zeros((3, 31), np.float32)},
        {"discriminant_bias": np.zeros(2, np.float32)},
        {"discriminant_weight": np.zeros((0, 32), np.float32)},
        {"head_weight": np.zeros((3, 31), np.float32)},
    ],
)
def test_a_file_with_other_shapes_is_refused(scorer, tmp_path, changes) -> None:
    save_file(scorer.arrays() | changes, tmp_path / "unknown.safetensors")
    with pytest.raises(WeightsError, match=r"unknown\.safetensors"):
        read_scorer(tmp_path / "unknown.safetensors")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 64])
def test_a_file_of_something_else_is_refused(tmp_path, content: bytes) -> None:
    (tmp_path / "unknown.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"unknown\.safetensors"):
        read_scorer(tmp_path / "unknown.safetensors")


PROBABILITIES = np.array([0.7, 0.3], np.float32)


@pytest.mark.parametrize(
    ("score", "least", "outcome"),
    [
        (None, 0.0, None),
        (None, 0.5, "known"),
        (None, 0.8, "uncertain"),
        (0.9, 0.0, "known"),
        (1.1, 0.0, "unknown"),
        (1.1, 0.8, "unknown"),
        (-3.0, 0.8, "uncertain"),
    ],
)
def test_outcomes(score: float | None, least: float, outcome: str | None) -> None:
    answer = make_answer(PROBABILITIES, score, min_probability=least)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.unknown_score) == (outcome, score)


def test_numbers_that_json_cannot_hold_are_an_error() -> None:
    assert isinstance(make_answer(np.array([np.nan, 1.0]), None), InternalError)
    assert isinstance(make_answer(PROBABILITIES, float("inf")), InternalError)


def test_the_score_is_what_its_definition_says(scorer) -> None:
    """Computed in one product and float32, against the formulas one by one in float64."""
    rows = features(50, 7).astype(np.float64)
    arrays = {name: array.astype(np.float64) for name, array in scorer.arrays().items()}
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarities = units @ arrays["components"] @ arrays["prototypes"].T
    distance = 1 - np.sort(similarities, axis=1)[:, -3:].mean(1)
    energies = [
        -np.log(np.exp(rows @ arrays[f"{name}_weight"].T + arrays[f"{name}_bias"]).sum(1))
        for name in ("head", "discriminant")
    ]
    means, deviations = arrays["standards"].reshape(3, 2).T
    standardised = (np.stack([distance, *energies], axis=1) - means) / deviations
    typical, threshold = arrays["scale"]
    expected = (standardised @ [1, 0.5, 1] - typical) / (threshold - typical)
    # The energies are near 100, of which float32 holds five decimals.
    given = rows.astype(np.float32)
    np.testing.assert_allclose(scorer.scores(given), expected, atol=1e-4)
    np.testing.assert_allclose(scorer.raw_scores(given), standardised @ [1, 0.5, 1], atol=1e-4)
