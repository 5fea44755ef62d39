"""Labels that are probably wrong, from out-of-fold probabilities: confident learning (Northcutt et al., 2021).

N photos, K classes. A photo counts as confidently of a class if that class's probability reaches the class's threshold:
the mean of it over the photos that carry the label. The share of these that are confidently of another class than their
label's estimates how many labels are wrong; as many are suspected, those of the lowest margin ("prune by noise rate").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class LabelIssues:
    """For each photo, in the order of the probabilities."""

    suspect_count: int
    """The estimate of how many labels are wrong."""
    suggested: NDArray[np.int64]
    """`(N,)`: the likeliest class besides the label's."""
    margin: NDArray[np.float64]
    """`(N,)`, -1..1: probability of the label less that of the suggested class; the lowest are suspected first."""

    @property
    def ranking(self) -> NDArray[np.int64]:
        """Return all N indices, the most suspicious first.

        By margin alone: putting the confident ones before all others found fewer of planted wrong labels.
        """
        return np.argsort(self.margin, kind="stable")

    @property
    def suspects(self) -> NDArray[np.int64]:
        """Return the indices of the suspected, the most suspicious first."""
        first = self.ranking[: self.suspect_count]
        return first[self.margin[first] < 0]


def find_label_issues(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> LabelIssues:
    """Return the issues of labels `(N,)` with out-of-fold probabilities `(N, K)`; every class has a photo."""
    rows = np.arange(len(labels))
    given = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -1
    suggested = others.argmax(1)
    # A class without photos has no mean, and nobody is confidently of it.
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    sums = np.bincount(labels, weights=given, minlength=probabilities.shape[1])
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1)
    confident_class = confident.argmax(1)
    confident_class = np.where(confident.max(1) >= 0, confident.argmax(1), -1)
    return LabelIssues(
        suspect_count=_estimate_wrong(labels, confident_class, counts),
        suggested=suggested,
        margin=given - others[rows, suggested],
    )


def _estimate_wrong(
    labels: NDArray[np.int64], confident_class: NDArray[np.int64], counts: NDArray[np.int64]
) -> int:
    """Return how many labels are wrong: of each class, the share among its confident photos, times all its photos."""
    is_confident = confident_class >= 0
    of_class = np.bincount(labels[is_confident], minlength=len(counts))
    is_other = is_confident & (confident_class != labels)
    wrong = np.bincount(labels[is_other], minlength=len(counts))
    return round(float((counts * wrong / np.maximum(of_class, 1)).sum()))
