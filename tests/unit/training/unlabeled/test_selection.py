"""Which features help: found by photos that were held out, and what is said of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.discriminant import Settings, fit_discriminant
from training.fit.pseudo_labels import LABELED_SHARE, join_features
from training.unlabeled.selection import (
    Agreement,
    FeatureSet,
    PseudoLabels,
    is_helpful,
    make_pseudo_labels,
)

SIZE = 12


def draw(
    generator: torch.Generator, counts: tuple[int, ...], *, spread: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features `(N, SIZE)` of classes whose means lie on the axes, and their labels."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    means = 3 * torch.eye(SIZE)[labels]
    return means + spread * torch.randn(len(labels), SIZE, generator=generator), labels


def feature_set(seed: int, *, unlabeled: tuple[int, ...], spread: float = 1.5) -> FeatureSet:
    generator = torch.Generator().manual_seed(seed)
    labeled, labels = draw(generator, (2, 2, 2), spread=spread)
    val, val_labels = draw(generator, (30, 30, 30), spread=spread)
    return FeatureSet(
        labeled=labeled,
        labels=labels,
        unlabeled=draw(generator, unlabeled, spread=spread)[0],
        val=val,
        val_labels=val_labels,
        class_count=3,
    )


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return float((logits.argmax(1) == labels).float().mean())


def test_unlabeled_features_improve_the_classifier() -> None:
    gains = []
    for seed in range(5):
        features = feature_set(seed, unlabeled=(200, 200, 200))
        targets = torch.eye(3)[features.labels]
        alone, both = (
            fit_discriminant(
                features.labeled, targets, features.unlabeled,
                Settings(shrinkage=0.6, unlabeled_weight=weight),
            )
            for weight in (0.0, 0.2)
        )  # fmt: skip
        gains.append(
            accuracy(both.logits(features.val), features.val_labels)
            - accuracy(alone.logits(features.val), features.val_labels)
        )
    assert sum(gains) / len(gains) > 0.05


@pytest.mark.parametrize("unlabeled", [(200, 200, 200), (380, 20, 20)])
def test_pseudo_labels_are_mostly_right_however_classes_are_spread(
    unlabeled: tuple[int, ...],
) -> None:
    features = feature_set(1, unlabeled=unlabeled, spread=1.0)
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(unlabeled))
    pseudo = make_pseudo_labels(features)
    assert accuracy(pseudo.probabilities, labels) > 0.9


def test_photos_of_no_class_are_left_out_where_a_share_is_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    labeled, labels = draw(generator, (8, 8))
    known, _ = draw(generator, (60, 60))
    foreign = 6 * torch.eye(SIZE)[5] + torch.randn(80, SIZE, generator=generator)
    fitted = fit_discriminant(
        labeled, torch.eye(2)[labels], torch.cat([known, foreign]),
        Settings(shrinkage=0.9, unlabeled_weight=0.05, kept_share=0.6),
    )  # fmt: skip
    assert fitted.is_kept[:120].float().mean() > 0.95
    assert fitted.is_kept[120:].float().mean() < 0.1


def test_unlabeled_noise_is_not_trained_on_where_labels_alone_do_as_well() -> None:
    generator = torch.Generator().manual_seed(4)
    labeled, labels = draw(generator, (20, 20), spread=0.1)
    val, val_labels = draw(generator, (20, 20), spread=0.1)
    pseudo = make_pseudo_labels(
        FeatureSet(
            labeled=labeled,
            labels=labels,
            val=val,
            val_labels=val_labels,
            class_count=2,
            unlabeled=torch.randn(50, SIZE, generator=generator),
        )  # fmt: skip
    )
    assert not pseudo.helps
    assert not pseudo.is_used.any()
    assert pseudo.statistics()["confidence"] is None
    assert "do not help enough" in pseudo.describe()
    assert "with labels alone 100.0 % (80 and 80 of 80 photos" in pseudo.describe()


def agreement(*, right: range, of: int) -> Agreement:
    is_right = torch.zeros(of, dtype=torch.bool)
    is_right[list(right)] = True
    return Agreement(is_right=is_right, val_count=of, loss=1.0)


@pytest.mark.parametrize(
    ("without", "with_them", "helps"),
    [
        (range(23), range(25), False),  # 2 won, none lost: 2 is not more than 1.5 * sqrt(2)
        (range(23), range(28), True),
        (range(20), range(10, 31), False),  # 11 won, 10 lost
        (range(20), range(5, 40), True),  # 20 won, 5 lost
        (range(28), range(23), False),
        (range(0), range(0), False),
    ],
)
def test_a_gain_that_chance_explains_is_none(without: range, with_them: range, helps: bool) -> None:
    assert is_helpful(agreement(right=without, of=48), agreement(right=with_them, of=48)) is helps


def test_where_unlabeled_photos_teach_nothing_they_are_seldom_trained_on() -> None:
    used = 0
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        labeled, labels = draw(generator, (10, 10, 10), spread=4.0)
        val, val_labels = draw(generator, (3, 3, 3), spread=4.0)
        noise = torch.randn(90, SIZE, generator=generator)
        used += make_pseudo_labels(
            FeatureSet(
                labeled=labeled, labels=labels, unlabeled=4.0 * noise, val=val,
                val_labels=val_labels, class_count=3,
            )
        ).helps  # fmt: skip
    # 17 where any gain is enough.
    assert used <= 2


@settings(max_examples=20, deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    unlabeled=st.integers(1, 20),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 1e4]),
    seed=st.integers(0, 1000),
)
def test_pseudo_labels_are_probabilities_whatever_the_features(
    counts: list[int], unlabeled: int, scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    labeled, labels = draw(generator, tuple(counts))
    pseudo = make_pseudo_labels(
        FeatureSet(
            labeled=scale * labeled,
            labels=labels,
            val=scale * labeled,
            val_labels=labels,
            unlabeled=scale * torch.randn(unlabeled, SIZE, generator=generator),
            class_count=len(counts),
        )  # fmt: skip
    )
    assert pseudo.probabilities.shape == (unlabeled, len(counts))
    torch.testing.assert_close(pseudo.probabilities.sum(1), torch.ones(unlabeled))


def test_labelled_views_are_repeated_up_to_their_share() -> None:
    features = feature_set(0, unlabeled=(40, 40, 40))
    pseudo = make_pseudo_labels(features)
    used = PseudoLabels(**{**vars(pseudo), "is_used": torch.arange(120) < 90})
    labeled, unlabeled = (part.expand(2, -1, -1) for part in (features.labeled, features.unlabeled))
    joined, targets = join_features(labeled, features.labels, unlabeled, used)
    known = len(joined) - 2 * 90
    assert known / len(joined) == pytest.approx(LABELED_SHARE, abs=0.02)
    assert torch.equal(joined[:6], features.labeled)
    assert torch.equal(targets[known : known + 90], pseudo.probabilities[:90])
    assert torch.equal(targets[:6].argmax(1), features.labels)
