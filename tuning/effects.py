"""Which setting mattered: its main effect on the photos a second, with the others held apart.

An additive model of the logarithm of the rate, fitted by least squares (R. A. Fisher, The Design of Experiments,
1935): each value of a setting multiplies the rate by a factor, whatever the other settings are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning.serving_config import ServingConfig


@dataclass(frozen=True, kw_only=True)
class Effect:
    name: str
    """The setting's field."""
    factors: Mapping[Any, float]
    """How many times as fast each tried value is as the slowest one, >= 1."""

    @property
    def range(self) -> float:
        """Return what the best value is faster than the worst by: 0.5 for half as much again."""
        return max(self.factors.values()) - 1


@dataclass(frozen=True, kw_only=True)
class Model:
    columns: tuple[tuple[str, Any], ...]
    """A setting's field and value for each coefficient."""
    coefficients: tuple[float, ...]
    """The common one first, then one a column."""

    def knows(self, setting: ServingConfig) -> bool:
        """Return whether every value of the setting was tried before, somewhere."""
        return all(column in self.columns for column in setting.to_dict().items())

    def predict(self, setting: ServingConfig) -> float:
        """Return the rate expected of a setting whose values are known, photos a second."""
        values = setting.to_dict()
        common, *own = self.coefficients
        chosen = zip(self.columns, own, strict=True)
        return math.exp(common + sum(one for (name, value), one in chosen if values[name] == value))

    def effects(self) -> list[Effect]:
        """Return the effect of each setting that was tried with several values, the largest first."""
        found: dict[str, dict[Any, float]] = {}
        for (name, value), coefficient in zip(self.columns, self.coefficients[1:], strict=True):
            found.setdefault(name, {})[value] = coefficient
        effects = [
            Effect(
                name=name,
                factors={
                    value: math.exp(one - min(told.values())) for value, one in sorted(told.items())
                },
            )
            for name, told in found.items()
            if len(told) > 1
        ]
        return sorted(effects, key=lambda effect: -effect.range)


def fit(measured: Sequence[tuple[ServingConfig, float]]) -> Model:
    """Return the model of settings and their rates above 0; one measurement or more."""
    columns = tuple(
        dict.fromkeys(pair for setting, _ in measured for pair in setting.to_dict().items())
    )
    rows = [
        [1.0, *(float(setting.to_dict()[name] == value) for name, value in columns)]
        for setting, _ in measured
    ]
    logarithms = [math.log(rate) for _, rate in measured]
    # More columns than measurements tell apart: lstsq gives the smallest coefficients that fit best.
    solution = np.linalg.lstsq(np.array(rows), np.array(logarithms), rcond=None)[0]
    return Model(columns=columns, coefficients=tuple(map(float, solution)))
