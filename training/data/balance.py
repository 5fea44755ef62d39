"""Rare classes against common ones: heavier in the loss, or seen more often."""

import math
from collections.abc import Sequence

import numpy as np
import torch


def class_weights(counts: Sequence[int]) -> torch.Tensor:
    """Return `(K,) float32`: what a photo of each class counts, 1 on average over the photos."""
    found = torch.tensor(counts, dtype=torch.float64).clamp(min=1)
    return (found.sum() / (len(found) * found)).float()


def draw_order(
    labels: np.ndarray, generator: np.random.Generator, *, balanced: bool, count: int | None = None
) -> np.ndarray:
    """Return indices of the labels, shuffled: each once, or balanced; round after round until there
    are `count`, where one is given."""
    rounds = 1 if count is None else math.ceil(count / len(labels))
    drawn = [
        balanced_order(labels, generator) if balanced else generator.permutation(len(labels))
        for _ in range(rounds)
    ]
    return np.concatenate(drawn)[:count]


def balanced_order(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return as many indices as labels, of each class equally many (give or take one), shuffled.

    Drawn at equal distances over the photos sorted by class, not one by one: the photos of a class
    are then seen equally often too, give or take once.
    """
    by_class = np.argsort(labels, kind="stable")
    shares = 1 / np.bincount(labels)[labels[by_class]]
    ends = np.cumsum(shares / shares.sum())
    places = (generator.random() + np.arange(len(labels))) / len(labels)
    drawn = np.minimum(np.searchsorted(ends, places, side="right"), len(labels) - 1)
    return generator.permutation(by_class[drawn])
