"""Imbalanced classes: rare ones weigh more in the loss, or are sampled more often."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from training.data.photo_set import Photo


def class_weights(counts: Sequence[int]) -> torch.Tensor:
    """Return each class's weight in the loss, `(K,) float32`: inversely proportional to its photo count.

    As scikit-learn's class_weight="balanced": averaged over the photos the weight is 1. An empty class counts as one
    photo.
    """
    photos_per_class = torch.tensor(counts, dtype=torch.float64).clamp(min=1)
    return (photos_per_class.sum() / (len(counts) * photos_per_class)).float()


def draw_order(
    labels: np.ndarray, generator: np.random.Generator, *, balanced: bool, count: int | None = None
) -> np.ndarray:
    """Return indices into the labels, shuffled: each once, or every class equally often if `balanced`.

    With `count`, round after round is drawn until there are that many.
    """
    rounds = 1 if count is None else math.ceil(count / len(labels))
    drawn = [
        balanced_order(labels, generator) if balanced else generator.permutation(len(labels))
        for _ in range(rounds)
    ]
    return np.concatenate(drawn)[:count]


def balanced_order(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return as many indices as there are labels, shuffled, each class equally often to within one.

    Systematic sampling, at equal steps over the photos sorted by class, rather than independent draws: the photos of
    one class are then drawn equally often too, to within one.
    """
    by_class = np.argsort(labels, kind="stable")
    shares = 1 / np.bincount(labels)[labels[by_class]]
    ends = np.cumsum(shares / shares.sum())
    positions = (generator.random() + np.arange(len(labels))) / len(labels)
    drawn = np.minimum(np.searchsorted(ends, positions, side="right"), len(labels) - 1)
    return generator.permutation(by_class[drawn])


def stratified_sample(photos: Sequence[Photo], count: int) -> list[Photo]:
    """Return `count` of the photos, or all if there are fewer, each class in proportion to its size."""
    by_class = sorted(photos, key=lambda photo: (photo.label, photo.sha256))
    count = min(count, len(by_class))
    return [by_class[index * len(by_class) // count] for index in range(count)]
