"""Main effect of each setting on throughput, separated from the effects of the others.

An additive model of the logarithm of throughput, fitted by least squares (R. A. Fisher, The Design of Experiments,
1935): each value of a setting multiplies throughput by a factor, whatever the other settings are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning.serving_config import ServingConfig

# Effects are ordered by their range to this many decimals: beyond, rounding errors of the fit would decide.
RANGE_DECIMALS = 6


@dataclass(frozen=True, kw_only=True)
class Effect:
    name: str
    """Field of ServingConfig."""
    factors: Mapping[Any, float]
    """By value: how many times as fast as the slowest value, >= 1."""

    @property
    def range(self) -> float:
        """Return how much faster the best value is than the worst: 0.5 for one and a half times as fast."""
        return max(self.factors.values()) - 1


@dataclass(frozen=True, kw_only=True)
class Model:
    columns: tuple[tuple[str, Any], ...]
    """Field and value of each coefficient."""
    coefficients: tuple[float, ...]
    """The intercept, then one per column."""

    def knows(self, config: ServingConfig) -> bool:
        """Return whether each value of the configuration was measured before, in whatever combination."""
        return all(column in self.columns for column in config.to_dict().items())

    def predict(self, config: ServingConfig) -> float:
        """Return the throughput expected of a configuration whose values are known, in photos per second."""
        values = config.to_dict()
        intercept, *slopes = self.coefficients
        chosen = zip(self.columns, slopes, strict=True)
        return math.exp(
            intercept + sum(slope for (name, value), slope in chosen if values[name] == value)
        )

    def effects(self) -> list[Effect]:
        """Return the effect of each setting that was measured with several values, the largest first.

        Equal effects keep the order in which ServingConfig has its fields.
        """
        by_name: dict[str, dict[Any, float]] = {}
        for (name, value), coefficient in zip(self.columns, self.coefficients[1:], strict=True):
            by_name.setdefault(name, {})[value] = coefficient
        effects = [
            Effect(
                name=name,
                factors={
                    value: math.exp(coefficient - min(coefficients.values()))
                    for value, coefficient in sorted(coefficients.items())
                },
            )
            for name, coefficients in by_name.items()
            if len(coefficients) > 1
        ]
        return sorted(effects, key=lambda effect: -round(effect.range, RANGE_DECIMALS))


def fit(measured: Sequence[tuple[ServingConfig, float]]) -> Model:
    """Return the model of at least one configuration and its throughput above 0."""
    columns = tuple(
        dict.fromkeys(pair for config, _ in measured for pair in config.to_dict().items())
    )
    rows = [
        [1.0, *(float(config.to_dict()[name] == value) for name, value in columns)]
        for config, _ in measured
    ]
    logarithms = [math.log(photos_per_s) for _, photos_per_s in measured]
    # There are more columns than can be identified: of the best solutions, lstsq gives the one with the smallest norm.
    solution = np.linalg.lstsq(np.array(rows), np.array(logarithms), rcond=None)[0]
    return Model(columns=columns, coefficients=tuple(map(float, solution)))
