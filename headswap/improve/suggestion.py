"""What to label next: photos unlike each other and unlike what has been learned, and of each kind the least sure one.

TypiClust (Hacohen et al., 2022, https://arxiv.org/abs/2202.02794) clusters features and takes photos from the largest
clusters that no label covers yet. There the most typical photo of a cluster is taken, for there is no network yet; here
one answers already, and within a cluster the photo is taken that it is least sure of among the typical ones.

N photos, L labelled ones, D features.
"""

from collections.abc import Sequence

import numpy as np

from handlers.engines.unknown import unit_rows

CLUSTERS_MAX = 500
ITERATIONS = 30
# Of a cluster's photos, those nearer to its centre than the others: odd ones out are seldom worth a label.
TYPICAL_SHARE = 0.5


def suggest(
    features: np.ndarray,
    uncertainty: np.ndarray,
    labelled: np.ndarray,
    *,
    count: int,
    seed: int = 0,
) -> list[int]:
    """Return the indices of at most `count` photos, the most useful first.

    `features` are `(N, D)`, `uncertainty` `(N,)` 0..1, and `labelled` the `(L, D)` features of labelled photos.
    """
    count = min(count, len(features))
    if count == 0:
        return []
    rows = unit_rows(np.concatenate([features, labelled]).astype(np.float64))
    clusters = min(len(labelled) + count, CLUSTERS_MAX, len(rows))
    assigned, centres = _cluster(rows, clusters, np.random.default_rng(seed))
    similarity = np.einsum("nd,nd->n", rows, centres[assigned])
    covered = np.bincount(assigned[len(features) :], minlength=clusters)
    sizes = np.bincount(assigned[: len(features)], minlength=clusters)
    waiting = [
        _in_order(np.flatnonzero(assigned[: len(features)] == each), similarity, uncertainty)
        for each in range(clusters)
    ]
    chosen: list[int] = []
    while len(chosen) < count:
        # The cluster with the fewest labels, those just chosen among them; of these the largest.
        cluster = min(
            (each for each in range(clusters) if waiting[each]),
            key=lambda each: (covered[each], -sizes[each]),
        )
        chosen.append(waiting[cluster].pop(0))
        covered[cluster] += 1
    return chosen


def _in_order(members: np.ndarray, similarity: np.ndarray, uncertainty: np.ndarray) -> list[int]:
    """Return a cluster's photos: the typical ones, least sure first, then the others."""
    typical = set(
        members[np.argsort(-similarity[members])][: max(1, round(TYPICAL_SHARE * len(members)))]
    )
    return sorted(
        map(int, members), key=lambda index: (index not in typical, -float(uncertainty[index]))
    )


def _cluster(
    rows: np.ndarray, clusters: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cluster of each row `(N,)` and the centres `(clusters, D)`, by k-means over cosines."""
    centres = rows[_spread(rows, clusters, generator)]
    assigned = np.zeros(len(rows), dtype=np.int64)
    for _ in range(ITERATIONS):
        before, assigned = assigned, (rows @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, assigned, rows)
        is_empty = np.bincount(assigned, minlength=clusters) == 0
        centres = np.where(is_empty[:, None], centres, unit_rows(sums))
        if (assigned == before).all():
            break
    return assigned, centres


def _spread(rows: np.ndarray, count: int, generator: np.random.Generator) -> list[int]:
    """Return the indices of rows far from each other: each the farthest from those before it (core-set)."""
    chosen = [int(generator.integers(len(rows)))]
    nearest = rows @ rows[chosen[0]]
    while len(chosen) < count:
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, rows @ rows[chosen[-1]])
    return chosen


def uncertainties(confidences: Sequence[float], is_unknown: Sequence[bool]) -> np.ndarray:
    """Return `(N,)` 0..1: 1 for photos like none of the classes, else 1 minus the confidence."""
    return np.where(np.asarray(is_unknown, bool), 1.0, 1 - np.asarray(confidences, float))
