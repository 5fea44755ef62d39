"""Class probabilities of every photo by a classifier that has not seen its label: cross-validation on fixed features.

N photos, D features, K classes. Copies of a photo are in one fold, since a copy would give its label away.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

FOLDS = 5
# Beside the mean loss, on features scaled to unit variance. Planted wrong labels are found best with 0.2 to 0.5.
RIDGE = 0.35
STEPS_MAX = 60


def assign_folds(
    labels: Sequence[int], *, copies: Iterable[tuple[int, int]], folds: int, seed: int = 0
) -> NDArray[np.int64]:
    """Return the fold `(N,)` of each photo: the pairs of `copies` in the same one, classes evenly divided."""
    groups = _connected(len(labels), copies)
    order = np.random.default_rng(seed).permutation(len(groups))
    counts: dict[int, NDArray[np.int64]] = defaultdict(lambda: np.zeros(folds, np.int64))
    assigned = np.zeros(len(labels), np.int64)
    # Large groups first: those of one photo then even the folds out.
    for group in sorted((groups[index] for index in order), key=len, reverse=True):
        label = labels[group[0]]
        fold = int(counts[label].argmin())
        counts[label][fold] += len(group)
        assigned[group] = fold
    return assigned


def out_of_fold_probabilities(
    features: torch.Tensor, labels: torch.Tensor, folds: NDArray[np.int64], *, class_count: int
) -> NDArray[np.float64]:
    """Return `(N, K)`, rows of sum 1: each photo's probabilities by logistic regression on the other folds.

    A class that none of the other folds has gets a probability of about 0.
    """
    scaled = (features - features.mean(0)) / features.std(0, correction=0).clamp(min=1e-6)
    fold_of = torch.from_numpy(folds)
    probabilities = np.zeros((len(labels), class_count))
    for fold in np.unique(folds):
        is_held_out = fold_of == int(fold)
        classify = _fit(scaled[~is_held_out], labels[~is_held_out], class_count=class_count)
        probabilities[is_held_out.numpy()] = torch.softmax(classify(scaled[is_held_out]), 1).numpy()
    return probabilities


def _fit(features: torch.Tensor, labels: torch.Tensor, *, class_count: int) -> torch.nn.Linear:
    """Return the multinomial logistic regression with an L2 penalty, fitted by L-BFGS to convergence."""
    head = torch.nn.Linear(features.shape[1], class_count)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(
        head.parameters(), max_iter=STEPS_MAX, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(head(features), labels)
        loss = loss + RIDGE / 2 * head.weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return head.requires_grad_(False)


def _connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the connected groups of 0 to count - 1, those without a pair as groups of one."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second in pairs:
        parent[root(second)] = root(first)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(count):
        groups[root(index)].append(index)
    return list(groups.values())
