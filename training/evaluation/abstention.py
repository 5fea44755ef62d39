"""Answers withheld below a probability: how many photos are answered then, and how many of the answers are right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The thresholds to choose from, in the float32 that the handler compares with.
_STEPS = (np.arange(10_001) / 10_000).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """What answering from a probability on does to the evaluated photos; the probability is chosen on val."""

    target_accuracy: float
    min_probability: float
    """For handler.min_probability, 0..1."""
    val_n: int
    answered_share: float
    """Of the evaluated photos, 0..1."""
    answered: int
    correct: int
    """Of those answered."""


def risk_coverage(
    confidences: Sequence[float], is_correct: Sequence[bool]
) -> tuple[list[float], list[float]]:
    """Return the shares of photos answered, surest first, and the share of wrong answers among them (El-Yaniv, 2010).

    Photos of equal confidence are answered together.
    """
    order = np.argsort(-np.asarray(confidences), kind="stable")
    sorted_confidences = np.asarray(confidences)[order]
    wrong = np.cumsum(~np.asarray(is_correct, dtype=bool)[order])
    answered = np.arange(1, len(order) + 1)
    is_last = np.append(sorted_confidences[1:] != sorted_confidences[:-1], True)
    coverage = answered[is_last] / len(order)
    risk = wrong[is_last] / answered[is_last]
    return coverage.tolist(), risk.tolist()


def choose_min_probability(
    confidences: np.ndarray, is_correct: np.ndarray, *, target_accuracy: float
) -> float | None:
    """Return the lowest probability, of four decimals, from which on the answers reach the target.

    None where no number of them does. What is equal to the threshold is answered, as in the handler.
    """
    steps = np.searchsorted(_STEPS, confidences.astype(np.float32), side="right") - 1
    order = np.argsort(-steps, kind="stable")
    accuracy = np.cumsum(is_correct[order]) / np.arange(1, len(order) + 1)
    ordered = steps[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True)
    reached = np.flatnonzero((accuracy >= target_accuracy) & is_last)
    if not len(reached):
        return None
    return int(ordered[reached[-1]]) / 10_000
