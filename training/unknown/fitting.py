"""Fits the unknown score to features of train and val photos.

Legend: N photos, D features, K classes, C of them with train photos.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from handlers.engines.unknown import UnknownScorer, unit_rows
from training.discriminant import Settings, fit_discriminant

COMPONENTS = 128
# Of the covariance, towards a multiple of the identity: there may be fewer photos than features.
SHRINKAGE = 0.6
# Prototypes are at most this many train photos, which is 1 MB.
PROTOTYPES = 2000
# A standard deviation below this is that of equal values.
_STD_MIN = 1e-6
# The threshold is at least this far above a typical val photo, in standard deviations of the two scores, because a few
# val photos may be nearly equal.
_SPREAD_MIN = 0.5


@dataclass(frozen=True, kw_only=True)
class AcceptedShare:
    """What share of photos of the classes a threshold accepts that was chosen on n val photos."""

    expected: float
    """Mean of its Beta distribution, 0..1."""
    deviation: float
    """Its standard deviation: so far off may the share on new photos be."""
    n: int


@dataclass(frozen=True, kw_only=True)
class Head:
    weight: np.ndarray
    """`(K, D) float32`."""
    bias: np.ndarray
    """`(K,) float32`."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """Of photos, and their labels."""

    rows: np.ndarray
    """`(N, D) float32`."""
    labels: np.ndarray
    """`(N,) int64`."""


def fit_scorer(
    train: Features, val: np.ndarray, head: Head, *, accepted_share: float = 0.95
) -> tuple[UnknownScorer, AcceptedShare]:
    """Return the scorer, whose threshold accepts that share of photos like val's, features `(N, D) float32`."""
    units = unit_rows(train.rows)
    components = principal_components(units)
    discriminant = fit_classes(train)
    unscaled = UnknownScorer(
        components=components,
        prototypes=units @ components,
        head_weight=head.weight,
        head_bias=head.bias,
        discriminant_weight=discriminant.weight,
        discriminant_bias=discriminant.bias,
        standards=np.array([0, 1] * 3, np.float32),
        scale=np.array([0, 1], np.float32),
    )
    standards = [f(values) for values in unscaled.parts(val).T for f in (np.mean, _std)]
    standardised = _replace(unscaled, standards=np.array(standards, np.float32))
    return with_threshold(standardised, val, accepted_share=accepted_share)


def with_threshold(
    scorer: UnknownScorer, val: np.ndarray, *, accepted_share: float
) -> tuple[UnknownScorer, AcceptedShare]:
    """Return the scorer with the threshold that accepts that share of photos like val's, features `(N, D)`."""
    raw = np.sort(scorer.raw_scores(val))
    rank = threshold_rank(len(raw), accepted_share)
    typical, threshold = float(np.median(raw)), float(raw[rank - 1])
    threshold = max(threshold, typical + _SPREAD_MIN)
    scale = np.array([typical, threshold], np.float32)
    return _replace(scorer, scale=scale), share_of_rank(rank, len(raw))


def fit_classes(train: Features) -> Head:
    """Return the linear functions of a discriminant analysis, one for each class that has photos."""
    _, numbers = np.unique(train.labels, return_inverse=True)
    rows, mean = torch.from_numpy(train.rows), torch.from_numpy(train.rows.mean(0))
    scale = float(rows.std()) or 1.0
    targets = torch.nn.functional.one_hot(torch.from_numpy(numbers)).float()
    fitted = fit_discriminant(
        (rows - mean) / scale, targets, rows[:0], Settings(shrinkage=SHRINKAGE)
    )
    weight = fitted.weight / scale
    bias = fitted.bias - weight @ mean
    return Head(weight=weight.numpy(), bias=bias.numpy())


def principal_components(rows: np.ndarray) -> np.ndarray:
    """Return `(D, R) float32`, the directions that hold most of the rows `(N, D)`; R is at most 128, N and D."""
    rank = min(COMPONENTS, *rows.shape)
    _, _, rows = np.linalg.svd(rows, full_matrices=False)
    components: np.ndarray = np.ascontiguousarray(rows[:rank].T)
    return components


def threshold_rank(n: int, accepted_share: float) -> int:
    """Return which of n sorted scores, from 1, is the threshold: a new photo is below it with that probability.

    As conformal prediction has it (Vovk et al., 2005); with few photos the largest, which is as near as it gets.
    """
    return min(n, max(1, math.ceil(accepted_share * (n + 1))))


def share_of_rank(rank: int, n: int) -> AcceptedShare:
    """Return the share below the score of this rank: its distribution is Beta(rank, n + 1 - rank)."""
    expected = rank / (n + 1)
    deviation = math.sqrt(expected * (1 - expected) / (n + 2))
    return AcceptedShare(expected=expected, deviation=deviation, n=n)


def _replace(scorer: UnknownScorer, **changes: np.ndarray) -> UnknownScorer:
    return UnknownScorer(**(scorer.arrays() | changes))


def _std(values: np.ndarray) -> float:
    deviation = float(values.std())
    return deviation if deviation > _STD_MIN else 1.0
