"""The unknown score: how unlike the training photos a photo's features are.

The sum of three standardised scores of the same features: the distance to the nearest training photos (Sun et al.,
2022, https://arxiv.org/abs/2204.06507), in their principal components, which finds other kinds of pictures; and the
energy (Liu et al., 2020, https://arxiv.org/abs/2010.03759) of the network's own last layer and of a linear discriminant
analysis, as of normal distributions of one covariance (Lee et al., 2018, https://arxiv.org/abs/1807.03888), which find
neighbours of the classes.

Legend: B batch, D features, R components, P prototypes, K classes, C of them with training photos.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from handlers.contract import UNKNOWN_SCALE, UNKNOWN_SCALE_INT8
from handlers.engines.weights import read_weights
from handlers.errors import WeightsError
from handlers.model_card import ArchivePrecision

# The distance is the mean of those to this many prototypes.
NEIGHBOURS = 3
# Of distance, energy of the head and energy of the discriminant analysis in the sum: chosen by leaving classes out
# (benchmarks/training/unknown.py compares equal weights, and none for the analysis).
_WEIGHTS = np.array([1, 0.5, 1])
# A distance is 1 - cosine, an energy 0 - logarithm.
_NEGATED_FROM = np.array([1, 0, 0], np.float32)


@dataclass(frozen=True, kw_only=True)
class UnknownScorer:
    """What scores are computed from, all float32. fit_scorer in training/unknown makes one."""

    components: np.ndarray
    """`(D, R)`: the principal components of the training photos' features, each of length 1 and not centred."""
    prototypes: np.ndarray
    """`(P, R)`: features of training photos, scaled to length 1, in these components."""
    head_weight: np.ndarray
    """`(K, D)`: the network's last layer."""
    head_bias: np.ndarray
    """`(K,)`."""
    discriminant_weight: np.ndarray
    """`(C, D)`: the linear functions of the discriminant analysis."""
    discriminant_bias: np.ndarray
    """`(C,)`."""
    standards: np.ndarray
    """`(6,)`: mean and standard deviation on val of the distance, the energy of the head, and that of the analysis."""
    scale: np.ndarray
    """`(2,)`: which sums become score 0, that of a typical val photo, and 1, the threshold."""

    def __post_init__(self) -> None:
        if self.components.ndim != 2:
            raise ValueError(f"components must have two axes, not {self.components.ndim}")
        (size, rank), count = self.components.shape, len(self.head_weight)
        shapes = {
            "components": (size, rank),
            "prototypes": (len(self.prototypes), rank),
            "head_weight": (count, size),
            "head_bias": (count,),
            "discriminant_weight": (len(self.discriminant_bias), size),
            "discriminant_bias": (len(self.discriminant_bias),),
            "standards": (6,),
            "scale": (2,),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value.shape != shape or not np.isfinite(value).all():
                raise ValueError(f"{name} must be finite and {shape}, not {value.shape}")
        if not self.standards[1::2].all():
            raise ValueError("its standard deviations must not be 0")
        is_empty = not len(self.prototypes) or not len(self.discriminant_bias)
        if is_empty or not self.scale[1] > self.scale[0]:
            raise ValueError(
                "it needs prototypes, classes and a threshold above a typical photo's score"
            )

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return `(B,) float64` for features `(B, D)`: 0 is a typical val photo's, above 1 is unknown."""
        slopes, offset = self._scaling
        scores: np.ndarray = self.parts(features) @ slopes + offset
        return scores

    def raw_scores(self, features: np.ndarray) -> np.ndarray:
        """Return `(B,) float64`, the weighted sum of the standardised scores."""
        slopes, offset = self._standardisation
        raw: np.ndarray = self.parts(features) @ slopes + offset
        return raw

    def parts(self, features: np.ndarray) -> np.ndarray:
        """Return `(B, 3) float32`: the distance and both energies.

        The distance is 1 - cosine to the nearest prototypes, 0..2; what lies outside the components counts as far. An
        energy is minus the logarithm of the sum of the exponentials of the logits.
        """
        # One product instead of three, and few calls of NumPy: after a network has run, the first of a kind takes 3 to
        # 15 microseconds.
        products = features @ self._projection
        rank = self.components.shape[1]
        logits = products[:, rank:] + self._biases
        parts = np.empty((len(features), 3), np.float32)
        parts[:, 0] = self._similarities(products[:, :rank]) / row_lengths(features)
        parts[:, 1:] = np.logaddexp.reduceat(logits, [0, len(self.head_bias)], axis=1)
        return np.subtract(_NEGATED_FROM, parts, out=parts)

    def _similarities(self, reduced: np.ndarray) -> np.ndarray:
        """Return `(B,)`, the mean product with the nearest prototypes, for features in the components `(B, R)`."""
        products = reduced @ self.prototypes.T
        count = len(self._mean)
        products.partition(-count, axis=1)
        means: np.ndarray = products[:, -count:] @ self._mean
        return means

    @cached_property
    def _mean(self) -> np.ndarray:
        """What a product with the nearest prototypes is multiplied by for their mean."""
        count = min(NEIGHBOURS, len(self.prototypes))
        return np.full(count, 1 / count, np.float32)

    @cached_property
    def _projection(self) -> np.ndarray:
        """`(D, R + K + C)`: the components, the network's last layer, and the discriminant analysis."""
        return np.concatenate(
            [self.components, self.head_weight.T, self.discriminant_weight.T], axis=1
        )

    @cached_property
    def _biases(self) -> np.ndarray:
        """`(K + C,)`."""
        return np.concatenate([self.head_bias, self.discriminant_bias])

    @cached_property
    def _standardisation(self) -> tuple[np.ndarray, float]:
        """`(3,) float64` and a number: what the parts are multiplied by for a raw score, and what is added."""
        means, deviations = self.standards.astype(np.float64).reshape(3, 2).T
        slopes = _WEIGHTS / deviations
        return slopes, -float(slopes @ means)

    @cached_property
    def _scaling(self) -> tuple[np.ndarray, float]:
        """The same for a score."""
        slopes, offset = self._standardisation
        typical, threshold = self.scale.tolist()
        return slopes / (threshold - typical), (offset - typical) / (threshold - typical)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a file of it holds."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return it from what `arrays` returned. Raises KeyError or ValueError where something is missing or wrong."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1; rows of zeros stay so."""
    scaled: np.ndarray = rows / row_lengths(rows)[:, None]
    return scaled


def row_lengths(rows: np.ndarray) -> np.ndarray:
    """Return `(B,)`, the Euclidean lengths of the rows; at least 1e-12, to divide by."""
    lengths: np.ndarray = np.maximum(np.sqrt(np.vecdot(rows, rows)), 1e-12)
    return lengths


def read_scorer(
    path: Path, *, sha256: str = "", precision: ArchivePrecision = "float32"
) -> UnknownScorer:
    """Return the scorer of an archive's file, for features computed in this precision.

    Raises:
        WeightsError: there is no such file, it has another sha256, or it does not hold a scorer.
    """
    arrays = read_weights(path, sha256=sha256)
    if precision == "int8" and UNKNOWN_SCALE_INT8 in arrays:
        arrays[UNKNOWN_SCALE] = arrays[UNKNOWN_SCALE_INT8]
    try:
        return UnknownScorer.from_arrays(arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{path.name} does not hold an unknown score ({error!r:.200}). Export the archive again."
        ) from None
