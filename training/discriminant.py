"""Linear discriminant analysis that also learns from unlabeled features.

Classes are normal distributions with one covariance; the class of an unlabeled photo is a hidden variable, estimated by
expectation maximisation (Nigam et al., 2000). The covariance is shrunk towards a multiple of the identity (Friedman,
1989). Shares of the classes are estimated too, so nothing assumes that unlabeled photos are spread as the labelled.

N labelled and U unlabeled photos, K classes, D features, all `float32` on the CPU.
"""

from dataclasses import dataclass

import torch

ROUNDS = 5
# Between the estimated shares of the classes and equal ones: a rare class is not to vanish in the first rounds.
EQUAL_SHARE = 0.5
# Of the mean variance: keeps the covariance of fewer photos than features invertible.
RIDGE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Settings:
    shrinkage: float
    """0 keeps the covariance, 1 makes it a multiple of the identity."""
    unlabeled_weight: float = 0.0
    """Of an unlabeled photo, where a labelled one has 1; 0 learns from the labels alone."""
    kept_share: float = 1.0
    """Share of the unlabeled photos that is learned from: those nearest to a class. The rest may be of none."""


@dataclass(frozen=True, kw_only=True)
class Discriminant:
    weight: torch.Tensor
    """`(K, D)`."""
    bias: torch.Tensor
    """`(K,)`."""
    is_kept: torch.Tensor
    """`(U,) bool`: which unlabeled photos were learned from."""

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return `(M, K)` of features `(M, D)`."""
        return features @ self.weight.T + self.bias


def fit_discriminant(
    labeled: torch.Tensor, targets: torch.Tensor, unlabeled: torch.Tensor, settings: Settings
) -> Discriminant:
    """Return the classifier of labelled features `(N, D)` with targets `(N, K)` one-hot, and of unlabeled `(U, D)`.

    Every class needs a labelled photo.
    """
    class_count, weight = targets.shape[1], settings.unlabeled_weight
    kept = torch.ones(len(unlabeled), dtype=torch.bool)
    shares = torch.full((class_count,), 1 / class_count)
    counts, sums, scatter = targets.sum(0), targets.T @ labeled, labeled.T @ labeled
    classes = _fit_classes(counts, sums, scatter, shares, settings)
    if weight == 0 or not len(unlabeled):
        return Discriminant(weight=classes.weight, bias=classes.bias, is_kept=kept)
    of_kept = unlabeled.T @ unlabeled
    for _ in range(ROUNDS):
        logits = unlabeled @ classes.weight.T + classes.bias
        if settings.kept_share < 1:
            distances = classes.distances(unlabeled, logits)
            kept = distances <= distances.quantile(settings.kept_share)
            of_kept = unlabeled[kept].T @ unlabeled[kept]
        probabilities = torch.softmax(logits, 1) * kept[:, None]
        shares = probabilities.sum(0) / kept.sum()
        shares = (1 - EQUAL_SHARE) * shares + EQUAL_SHARE / class_count
        classes = _fit_classes(
            counts + weight * probabilities.sum(0),
            sums + weight * probabilities.T @ unlabeled,
            scatter + weight * of_kept,
            shares,
            settings,
        )
    return Discriminant(weight=classes.weight, bias=classes.bias, is_kept=kept)


@dataclass(frozen=True, kw_only=True)
class _Classes:
    weight: torch.Tensor
    bias: torch.Tensor
    factor: torch.Tensor
    """Cholesky factor `(D, D)` of the covariance."""

    def distances(self, features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the squared Mahalanobis distance `(U,)` to the likeliest class, but for its share."""
        whitened = torch.linalg.solve_triangular(self.factor, features.T, upper=False)
        distances: torch.Tensor = whitened.square().sum(0) - 2 * logits.max(1).values
        return distances


def _fit_classes(
    counts: torch.Tensor,
    sums: torch.Tensor,
    scatter: torch.Tensor,
    shares: torch.Tensor,
    settings: Settings,
) -> _Classes:
    means = sums / counts[:, None]
    covariance = (scatter - (means.T * counts) @ means) / counts.sum()
    mean_variance = covariance.diagonal().mean().clamp(min=1e-12)
    shrunk = (1 - settings.shrinkage) * covariance
    shrunk += (settings.shrinkage + RIDGE) * mean_variance * torch.eye(len(covariance))
    factor = torch.linalg.cholesky(shrunk)
    weight = torch.cholesky_solve(means.T, factor).T
    bias = shares.log() - 0.5 * (weight * means).sum(1)
    return _Classes(weight=weight, bias=bias, factor=factor)
