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
_WEIGHTS = np.array([1, 0.5, 1], np.float32)


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
        """Return `(B,) float32` for features `(B, D)`: 0 is a typical val photo's, above 1 is unknown."""
        typical, threshold = self.scale
        scores: np.ndarray = (self.raw_scores(features) - typical) / (threshold - typical)
        return scores

    def raw_scores(self, features: np.ndarray) -> np.ndarray:
        """Return `(B,) float32`, the weighted sum of the standardised scores."""
        means, deviations = self.standards[::2, None], self.standards[1::2, None]
        raw: np.ndarray = _WEIGHTS @ ((np.stack(self.parts(features)) - means) / deviations)
        return raw

    def parts(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the distance and both energies, each `(B,)`."""
        return (
            self.distances(features),
            energies(features @ self.head_weight.T + self.head_bias),
            energies(features @ self.discriminant_weight.T + self.discriminant_bias),
        )

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return `(B,)`: 1 - cosine to the nearest prototypes, 0..2; what lies outside the components counts as far."""
        similarities = unit_rows(features) @ self.components @ self.prototypes.T
        count = min(NEIGHBOURS, len(self.prototypes))
        nearest = np.partition(similarities, -count, axis=1)[:, -count:]
        distances: np.ndarray = 1 - nearest.mean(1)
        return distances

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a file of it holds."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return it from what `arrays` returned. Raises KeyError or ValueError where something is missing or wrong."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def energies(logits: np.ndarray) -> np.ndarray:
    """Return `(B,)`: minus the logarithm of the sum of the exponentials of logits `(B, K)`."""
    values: np.ndarray = -np.logaddexp.reduce(logits, axis=1)
    return values


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1; rows of zeros stay so."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    scaled: np.ndarray = rows / np.maximum(lengths, 1e-12)
    return scaled


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
