"""The audit of a photo folder's labels: suspects by cross-validation, copies with two labels, outliers."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from training.audit.confident_learning import find_label_issues
from training.audit.out_of_fold import FOLDS, assign_folds, out_of_fold_probabilities
from training.audit.outliers import SCORE_MIN, outlier_scores
from training.data.duplicates import NearDuplicate
from training.data.photos import Photo

Reason = Literal["label", "duplicate", "outlier"]
# Of each class, the farthest ones.
OUTLIERS_PER_CLASS_MAX = 5


@dataclass(frozen=True, kw_only=True)
class Suspect:
    photo: Photo
    reason: Reason
    """label: probably of another class; duplicate: a copy has another label; outlier: unlike the rest of its class."""
    suggested: int
    """The label's class itself where nothing speaks for another."""
    probability: float
    """Of the suggested class, by a classifier that was trained without the photo."""
    given_probability: float
    """Of the label's class."""
    copy: Photo | None = None
    """For a duplicate, the other photo."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    class_names: tuple[str, ...]
    photo_count: int
    accuracy: float
    """Share of the photos whose label is the out-of-fold classifier's likeliest class."""
    suspects: tuple[Suspect, ...]
    """Labels first, then duplicates and outliers; each photo once, the most suspicious first."""
    small_classes: tuple[str, ...]
    """Classes of too few photos, whose labels were not checked."""

    def of(self, reason: Reason) -> list[Suspect]:
        """Return the suspects of one kind."""
        return [suspect for suspect in self.suspects if suspect.reason == reason]


def audit_labels(
    photos: Sequence[Photo],
    features: torch.Tensor,
    *,
    class_names: tuple[str, ...],
    near_duplicates: Sequence[NearDuplicate] = (),
    seed: int = 0,
) -> Audit:
    """Return the audit of photos with features `(N, D)`; classes with fewer photos than FOLDS are not checked."""
    labels = np.array([photo.label for photo in photos])
    counts = np.bincount(labels, minlength=len(class_names))
    is_checked = counts[labels] >= FOLDS
    probabilities = _probabilities(
        photos, features, near_duplicates, is_checked, class_count=len(class_names), seed=seed
    )
    evidence = _Evidence(photos, labels, probabilities)
    indices = np.flatnonzero(is_checked)
    issues = find_label_issues(probabilities[indices], labels[indices])
    by_photo: dict[str, Suspect] = {}
    for suspect in (
        *(evidence.mislabelled(int(indices[i]), int(issues.suggested[i])) for i in issues.suspects),
        *evidence.duplicates(near_duplicates),
        *evidence.outliers(outlier_scores(features, labels)),
    ):
        by_photo.setdefault(str(suspect.photo.path), suspect)
    return Audit(
        class_names=class_names,
        photo_count=len(photos),
        accuracy=float((probabilities[indices].argmax(1) == labels[indices]).mean())
        if len(indices)
        else float("nan"),
        suspects=tuple(by_photo.values()),
        small_classes=tuple(
            name for name, count in zip(class_names, counts, strict=True) if 0 < count < FOLDS
        ),
    )


def rank_labels(
    photos: Sequence[Photo],
    features: torch.Tensor,
    *,
    class_names: tuple[str, ...],
    near_duplicates: Sequence[NearDuplicate] = (),
    seed: int = 0,
) -> NDArray[np.int64]:
    """Return the indices of all photos in classes that are checked, the most suspicious label first."""
    labels = np.array([photo.label for photo in photos])
    is_checked = np.bincount(labels, minlength=len(class_names))[labels] >= FOLDS
    probabilities = _probabilities(
        photos, features, near_duplicates, is_checked, class_count=len(class_names), seed=seed
    )
    indices = np.flatnonzero(is_checked)
    return indices[find_label_issues(probabilities[indices], labels[indices]).ranking]


def _probabilities(
    photos: Sequence[Photo],
    features: torch.Tensor,
    near_duplicates: Sequence[NearDuplicate],
    is_checked: NDArray[np.bool_],
    *,
    class_count: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return out-of-fold probabilities `(N, K)`; for photos that are not checked, 1 for the label's class."""
    indices = np.flatnonzero(is_checked).tolist()
    position = {photos[index].path: number for number, index in enumerate(indices)}
    labels = [photo.label for photo in photos]
    probabilities = np.eye(class_count)[labels]
    if len({labels[index] for index in indices}) < 2:
        return probabilities
    pairs = [(pair.first.path, pair.second.path) for pair in near_duplicates]
    by_bytes: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_bytes[photo.sha256].append(photo)
    pairs += [(a.path, b.path) for same in by_bytes.values() for a, b in pairwise(same)]
    copies = [(position[a], position[b]) for a, b in pairs if a in position and b in position]
    checked_labels = [labels[index] for index in indices]
    probabilities[indices] = out_of_fold_probabilities(
        features[indices],
        torch.tensor(checked_labels),
        assign_folds(checked_labels, copies=copies, folds=FOLDS, seed=seed),
        class_count=class_count,
    )
    return probabilities


class _Evidence:
    def __init__(
        self,
        photos: Sequence[Photo],
        labels: NDArray[np.int64],
        probabilities: NDArray[np.float64],
    ) -> None:
        self._photos, self._labels, self._probabilities = photos, labels, probabilities
        self._index = {photo.path: index for index, photo in enumerate(photos)}

    def mislabelled(self, index: int, suggested: int) -> Suspect:
        return self._suspect(index, suggested, "label")

    def duplicates(self, pairs: Sequence[NearDuplicate]) -> Iterator[Suspect]:
        """Yield the less likely one of each pair with two labels, with the other's label."""
        for pair in pairs:
            if pair.first.label == pair.second.label:
                continue
            first, second = self._index[pair.first.path], self._index[pair.second.path]
            if self._given(first) <= self._given(second):
                yield self._suspect(first, pair.second.label, "duplicate", pair.second)
            else:
                yield self._suspect(second, pair.first.label, "duplicate", pair.first)

    def outliers(self, scores: NDArray[np.float64]) -> Iterator[Suspect]:
        """Yield the farthest photos of each class, the farthest of all first."""
        counts: dict[int, int] = defaultdict(int)
        for index in np.argsort(-scores, kind="stable").tolist():
            label = int(self._labels[index])
            if scores[index] < SCORE_MIN:
                return
            if counts[label] < OUTLIERS_PER_CLASS_MAX:
                counts[label] += 1
                yield self._suspect(index, label, "outlier")

    def _given(self, index: int) -> float:
        return float(self._probabilities[index, self._labels[index]])

    def _suspect(
        self, index: int, suggested: int, reason: Reason, copy: Photo | None = None
    ) -> Suspect:
        return Suspect(
            photo=self._photos[index],
            reason=reason,
            suggested=suggested,
            probability=float(self._probabilities[index, suggested]),
            given_probability=self._given(index),
            copy=copy,
        )
