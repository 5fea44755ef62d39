"""The score of a run: kept for the weights it was fitted to, and measured on classes left out and on other photos."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.helpers import small_network
from training.run import Run
from training.unknown.auroc import auroc, max_probability_scores
from training.unknown.fitting import Features, Head, fit_classes, with_threshold
from training.unknown.run_score import (
    CLASSES_LEFT_OUT,
    FOUND_SHARE,
    FittedScore,
    describe,
    describe_negatives,
    fit_score,
    head_of,
    read_score,
    write_score,
)


def centres(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 24)).astype(np.float32) * 3


def photos(per_class: int, *, seed: int, classes: int = 3) -> Features:
    labels = np.repeat(np.arange(classes), per_class)
    noise = np.random.default_rng(seed).normal(size=(len(labels), 24))
    rows = (centres(classes)[labels] + noise).astype(np.float32)
    return Features(rows=rows, labels=labels)


def head(classes: int = 3) -> Head:
    return Head(weight=centres(classes), bias=np.zeros(classes, np.float32))


@pytest.fixture(scope="module")
def fitted() -> FittedScore:
    return fit_score(photos(40, seed=1), photos(20, seed=2), head(), accepted_share=0.9)


@pytest.fixture
def run(tmp_path: Path, fitted: FittedScore) -> Run:
    run = Run(folder=tmp_path)
    write_score(run, fitted, weights_sha256="a" * 64)
    return run


def test_a_run_folder_keeps_the_score(run: Run, fitted: FittedScore) -> None:
    kept = read_score(run, weights_sha256="a" * 64)
    assert kept is not None
    assert kept.accepted == fitted.accepted
    rows = photos(5, seed=3).rows
    np.testing.assert_array_equal(kept.scorer.scores(rows), fitted.scorer.scores(rows))


def test_a_score_of_other_weights_is_not_used(run: Run, tmp_path: Path) -> None:
    assert read_score(run, weights_sha256="b" * 64) is None
    assert read_score(Run(folder=tmp_path / "none"), weights_sha256="a" * 64) is None


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_a_damaged_score_is_not_used(run: Run, keep: int) -> None:
    run.unknown_path.write_bytes(run.unknown_path.read_bytes()[:keep])
    assert read_score(run, weights_sha256="a" * 64) is None


def test_the_last_layer_is_the_network_s() -> None:
    network = small_network()
    layer = network.head
    assert head_of(network).weight.tolist() == layer.weight.tolist()
    assert head_of(network).bias.tolist() == layer.bias.tolist()
    layer.bias = None
    assert head_of(network).bias.tolist() == [0, 0, 0]


def test_the_accepted_share_is_that_of_the_evaluated_photos(fitted: FittedScore) -> None:
    others = Features(rows=-photos(10, seed=4).rows, labels=np.zeros(30, np.int64))
    assert describe(fitted, head(), others, train=None)["evaluated_accepted_share"] == 0
    known = describe(fitted, head(), photos(40, seed=5), train=None)
    assert known["evaluated_accepted_share"] == pytest.approx(0.9, abs=0.1)
    assert known["accepted_share"] == dataclasses.asdict(fitted.accepted)
    assert "left_out_auroc" not in known


def test_classes_far_apart_are_found_when_they_are_left_out(fitted: FittedScore) -> None:
    described = describe(fitted, head(), photos(20, seed=6), train=photos(40, seed=1))
    assert described["left_out_classes"] == 3
    assert described["left_out_auroc"] > 0.95
    assert 0 <= described["left_out_auroc_of_max_probability"] <= 1


def test_a_class_left_out_that_looks_like_another_is_not_found() -> None:
    train = photos(40, seed=1)
    twins = Features(rows=train.rows, labels=np.arange(len(train.rows)) % 3)
    evaluated = photos(20, seed=6)
    evaluated = Features(rows=evaluated.rows, labels=np.arange(60) % 3)
    score = fit_score(twins, photos(20, seed=2), head(), accepted_share=0.9)
    same = Head(weight=np.tile(centres(1), (3, 1)), bias=np.zeros(3, np.float32))
    described = describe(score, same, evaluated, train=twins)
    assert described["left_out_auroc"] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(("classes", "left_out"), [(2, None), (25, 13)])
def test_how_many_classes_are_left_out(classes: int, left_out: int | None) -> None:
    train, score_head = photos(4, seed=1, classes=classes), head(classes)
    score = fit_score(train, photos(4, seed=2, classes=classes), score_head, accepted_share=0.9)
    described = describe(score, score_head, photos(2, seed=3, classes=classes), train=train)
    assert described.get("left_out_classes") == left_out
    assert (left_out or 0) <= CLASSES_LEFT_OUT


def test_the_discriminant_analysis_knows_the_classes_that_have_photos() -> None:
    train = photos(40, seed=1)
    is_there = train.labels != 1
    part = Features(rows=train.rows[is_there], labels=train.labels[is_there])
    classes = fit_classes(part)
    assert classes.weight.shape == (2, 24)
    evaluated = photos(20, seed=9)
    right = (evaluated.rows @ classes.weight.T + classes.bias).argmax(1)
    for label, row in ((0, 0), (2, 1)):
        assert (right[evaluated.labels == label] == row).all()
    # Only the classes with train photos can be left out of the analysis, not every class of the head.
    score = fit_score(part, photos(20, seed=2), head(), accepted_share=0.9)
    assert describe(score, head(), evaluated, train=part)["left_out_classes"] == 3


def test_the_threshold_can_be_chosen_on_other_features(fitted: FittedScore) -> None:
    moved = photos(200, seed=10).rows * 0.8
    again, accepted = with_threshold(fitted.scorer, moved, accepted_share=0.9)
    assert (fitted.scorer.scores(moved) <= 1).mean() < 0.8
    assert (again.scores(moved) <= 1).mean() == pytest.approx(accepted.expected, abs=0.01)
    assert np.median(again.scores(moved)) == pytest.approx(0, abs=1e-4)


def test_negatives_are_measured_against_the_evaluated_photos(fitted: FittedScore) -> None:
    known, other = photos(20, seed=7).rows, -photos(5, seed=8).rows
    described = describe_negatives(fitted, head(), known, other)
    assert (described["n"], described["unknown_share"], described["auroc"]) == (15, 1.0, 1.0)
    baseline = auroc(max_probability_scores(known, head()), max_probability_scores(other, head()))
    assert described["auroc_of_max_probability"] == baseline
    assert described["accepted_share_where_found"] == 1.0
    same = describe_negatives(fitted, head(), known, known)
    assert same["auroc"] == pytest.approx(0.5)
    assert same["accepted_share_where_found"] == pytest.approx(1 - FOUND_SHARE, abs=0.02)
