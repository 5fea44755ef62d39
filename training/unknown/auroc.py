"""How well a score tells photos of the classes from others."""

import numpy as np

from training.unknown.fitting import Head


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Return the probability that an unknown photo has the higher score of a pair, ties counted half; 0..1."""
    ordered = np.sort(known)
    below = np.searchsorted(ordered, unknown, side="left")
    up_to = np.searchsorted(ordered, unknown, side="right")
    return float((below + up_to).mean() / 2 / len(known))


def max_probability_scores(features: np.ndarray, head: Head) -> np.ndarray:
    """Return minus the highest probability of features `(N, D)`: the score that every classifier has."""
    logits = features @ head.weight.T + head.bias
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    scores: np.ndarray = -1 / exponentials.sum(1)
    return scores


def without_class(head: Head, index: int) -> Head:
    """Return the last layer without the output of a class."""
    return Head(weight=np.delete(head.weight, index, 0), bias=np.delete(head.bias, index))
