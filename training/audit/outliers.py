"""Photos unlike the others of their class: far from their nearest neighbours within it (Ramaswamy et al., 2000).

N photos, D features.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

NEIGHBOURS = 5
# Robust standard deviations over the class's median: 1 in 2,000 photos of a normal distribution.
SCORE_MIN = 3.5
# A median of fewer says little.
PHOTOS_MIN = 10
# Rows compared at a time: 1,024 x 100,000 distances are 400 MB.
ROWS_AT_A_TIME = 1024
# Makes a median absolute deviation the standard deviation of a normal distribution.
MAD_TO_DEVIATION = 1.4826


def outlier_scores(features: torch.Tensor, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return `(N,)`: how many robust deviations a photo's neighbours are farther away than is usual in its class.

    Distances are those of features `(N, D)` on the unit sphere. 0 for all photos of a class with fewer than PHOTOS_MIN.
    """
    scores = np.zeros(len(labels))
    directions = functional.normalize(features, dim=1)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < PHOTOS_MIN:
            continue
        distances = _neighbour_distances(directions[torch.from_numpy(members)])
        median = np.median(distances)
        deviation = MAD_TO_DEVIATION * np.median(np.abs(distances - median))
        # Where half of a class is one photo, the deviation is 0 and says nothing of the others.
        if deviation > 0:
            scores[members] = (distances - median) / deviation
    return scores


def _neighbour_distances(directions: torch.Tensor) -> NDArray[np.float64]:
    """Return `(N,)`: the mean distance to the NEIGHBOURS nearest others."""
    means = []
    for start in range(0, len(directions), ROWS_AT_A_TIME):
        similarity = directions[start : start + ROWS_AT_A_TIME] @ directions.T
        rows = torch.arange(len(similarity))
        similarity[rows, rows + start] = -torch.inf
        nearest = similarity.topk(NEIGHBOURS, dim=1).values
        means.append((2 - 2 * nearest).clamp(min=0).sqrt().mean(1))
    return torch.cat(means).numpy().astype(np.float64)
