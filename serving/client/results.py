"""What a client gives back."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    label: str
    index: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer for one photo, best guess first."""

    model: str
    version: str
    guesses: tuple[ClassScore, ...]

    @property
    def top(self) -> ClassScore:
        return self.guesses[0]


# One photo among several: its answer, or why it has none.
Outcome = Prediction | RequestError


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Which part of a photo spoke for a class."""

    model: str
    version: str
    label: str
    index: int
    probability: float
    method: str
    image_size_px: int
    """Side of the square that the network saw, the photo's centre."""
    heat_map: tuple[tuple[float, ...], ...]
    """Rows of 0..1 over that square, coarser than it."""


def top_labels(predictions: Sequence[Prediction]) -> list[str]:
    return [prediction.top.label for prediction in predictions]
