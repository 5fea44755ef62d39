"""Pseudo-labels of unlabeled photos, where they make a classifier of the features better than labels alone.

What to learn from them, and how, is chosen by photos whose labels are known and were not learned from: those of val,
and each fifth of the labelled ones in turn. Candidates with and without unlabeled photos are compared on the same, and
unlabeled photos are trained on where they are better by more than chance (McNemar, 1947).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional

from training.discriminant import Settings, fit_discriminant
from training.evaluation.metrics import fit_temperature

# The features' directions of largest variance: the covariance of all 1,280 costs 20 times as long.
DIRECTIONS_MAX = 300
FOLDS = 5
SHRINKAGES = (0.3, 0.6, 0.9)
UNLABELED_WEIGHTS = (0.05, 0.2)
# 0.6 for folders that also hold photos of other classes.
KEPT_SHARES = (1.0, 0.6)
# By how many standard errors unlabeled photos must be better: of 12 candidates the best is better by chance as well.
STANDARD_ERRORS = 1.5


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Features of all photos `(…, D) float32`, and the labels that are known `(…,) int64`, on the CPU."""

    labeled: torch.Tensor
    labels: torch.Tensor
    unlabeled: torch.Tensor
    val: torch.Tensor
    val_labels: torch.Tensor
    class_count: int


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Photos whose label a classifier gave that had not learned it."""

    is_right: torch.Tensor
    """`(M,) bool`: of val, then of the labelled ones."""
    val_count: int
    loss: float

    @property
    def correct(self) -> int:
        return int(self.is_right.sum())

    @property
    def val_accuracy(self) -> float:
        return int(self.is_right[: self.val_count].sum()) / self.val_count

    def is_better_than(self, other: "Agreement") -> bool:
        return (self.correct, -self.loss) > (other.correct, -other.loss)


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    probabilities: torch.Tensor
    """Of each unlabeled photo `(U, K) float32`."""
    is_used: torch.Tensor
    """`(U,) bool`: which are trained on; none where they do not help."""
    settings: Settings
    labels_only: Agreement
    with_unlabeled: Agreement
    held_out_count: int
    """Photos that decided: those of val, and labelled ones."""

    @property
    def helps(self) -> bool:
        """Whether any of them is trained on."""
        return bool(self.is_used.any())

    def statistics(self) -> dict[str, Any]:
        """Return what a line of metrics.jsonl says of them."""
        used = self.probabilities[self.is_used]
        return {
            "helps": self.helps,
            "used": len(used),
            "unlabeled": len(self.probabilities),
            "confidence": round(float(used.max(1).values.mean()), 4) if len(used) else None,
            "per_class": used.argmax(1).bincount(minlength=self.probabilities.shape[1]).tolist(),
            "val_accuracy_labels_only": round(self.labels_only.val_accuracy, 4),
            "val_accuracy_with_unlabeled": round(self.with_unlabeled.val_accuracy, 4),
        }

    def describe(self) -> str:
        """Return a line for the user: by how much val agreed, and what follows."""
        before, after = (
            f"{100 * agreement.val_accuracy:.1f} %"
            for agreement in (self.labels_only, self.with_unlabeled)
        )
        held_out = (
            f"{self.labels_only.correct} and {self.with_unlabeled.correct} of {self.held_out_count} photos of val and "
            "train that were held out"
        )
        if self.helps:
            return (
                f"unlabeled photos help: right on val {after}, with labels alone {before} ({held_out}, without and "
                f"with them); {int(self.is_used.sum())} of {len(self.is_used)} are trained on"
            )
        return (
            f"unlabeled photos do not help enough: right on val {after}, with labels alone {before} ({held_out}, "
            "without and with them); the labels alone are trained on"
        )


def make_pseudo_labels(features: FeatureSet) -> PseudoLabels:
    """Return the pseudo-labels of the best candidate, of which none is used if labels alone do as well."""
    reduced = _reduce(features)
    alone = [Settings(shrinkage=shrinkage) for shrinkage in SHRINKAGES]
    more = [
        replace(settings, unlabeled_weight=weight, kept_share=kept)
        for settings in alone
        for weight in UNLABELED_WEIGHTS
        for kept in KEPT_SHARES
    ]
    (_, labels_only, _), (settings, with_unlabeled, temperature) = (
        _best(reduced, candidates) for candidates in (alone, more)
    )
    classifier = fit_discriminant(reduced.labeled, _one_hot(reduced), reduced.unlabeled, settings)
    helps = is_helpful(labels_only, with_unlabeled)
    return PseudoLabels(
        probabilities=torch.softmax(classifier.logits(reduced.unlabeled) / temperature, 1),
        is_used=classifier.is_kept & helps,
        settings=settings,
        labels_only=labels_only,
        with_unlabeled=with_unlabeled,
        held_out_count=len(reduced.labels) + len(reduced.val),
    )


def is_helpful(labels_only: Agreement, with_unlabeled: Agreement) -> bool:
    """Return whether so many more photos were right with unlabeled photos than without that chance is unlikely."""
    won = int((with_unlabeled.is_right & ~labels_only.is_right).sum())
    lost = int((labels_only.is_right & ~with_unlabeled.is_right).sum())
    return won - lost > STANDARD_ERRORS * math.sqrt(won + lost)


def _best(features: FeatureSet, candidates: list[Settings]) -> tuple[Settings, Agreement, float]:
    """Return the candidate that agrees with most labels, its agreement, and the temperature of its logits."""
    best: tuple[Settings, Agreement, float] | None = None
    for settings in candidates:
        logits, labels, val_count = _held_out_logits(features, settings)
        temperature = fit_temperature(logits, labels)
        agreement = Agreement(
            is_right=logits.argmax(1) == labels,
            val_count=val_count,
            loss=float(functional.cross_entropy(logits / temperature, labels)),
        )
        if best is None or agreement.is_better_than(best[1]):
            best = settings, agreement, temperature
    assert best is not None
    return best


def _held_out_logits(
    features: FeatureSet, settings: Settings
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return logits and labels of val, then of labelled photos that were held out, and how many of these are val's."""
    targets = _one_hot(features)
    whole = fit_discriminant(features.labeled, targets, features.unlabeled, settings)
    logits, labels = [whole.logits(features.val)], [features.val_labels]
    folds = _folds(features.labels)
    for fold in range(FOLDS):
        held_out = folds == fold
        if not held_out.any():
            continue
        part = fit_discriminant(
            features.labeled[~held_out],
            targets[~held_out],
            torch.cat([features.unlabeled, features.labeled[held_out]]),
            settings,
        )
        logits.append(part.logits(features.labeled[held_out]))
        labels.append(features.labels[held_out])
    return torch.cat(logits), torch.cat(labels), len(features.val)


def _folds(labels: torch.Tensor) -> torch.Tensor:
    """Return the fold of each labelled photo; -1, never held out, for the only one of its class."""
    folds = torch.full_like(labels, -1)
    for label in sorted(set(labels.tolist())):
        positions = torch.nonzero(labels == label)[:, 0]
        if len(positions) > 1:
            folds[positions] = torch.arange(len(positions)) % FOLDS
    return folds


def _one_hot(features: FeatureSet) -> torch.Tensor:
    return functional.one_hot(features.labels, features.class_count).float()


def _reduce(features: FeatureSet) -> FeatureSet:
    """Return the features centred, in the directions in which all photos that are trained on vary most."""
    trained_on = torch.cat([features.labeled, features.unlabeled])
    mean = trained_on.mean(0)
    centred = trained_on - mean
    # In double precision: with fewer photos than features, most eigenvalues are 0, and in single LAPACK may give up.
    covariance = centred.double().T @ centred.double()
    directions = torch.linalg.eigh(covariance)[1].float()
    directions = directions[:, -min(DIRECTIONS_MAX, len(trained_on)) :]
    scale = (centred @ directions).square().sum(1).mean().sqrt().clamp(min=1e-12)

    def project(of: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = (of - mean) @ directions / scale
        return projected

    return replace(
        features,
        labeled=project(features.labeled),
        unlabeled=project(features.unlabeled),
        val=project(features.val),
    )
