"""What the client returns."""

from dataclasses import dataclass
from typing import Literal

from serving.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    label: str
    """The class name."""
    index: int
    """Its place in the network's output, from 0."""
    probability: float
    """0..1, after softmax and temperature scaling."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer for one photo."""

    model: str
    version: str
    """The version that answered."""
    scores: tuple[ClassScore, ...]
    """The `top_k` classes of the highest probability, highest first."""
    name: str | None = None
    """Of several photos of one request, the one that this answers: its key, or its index in the list."""
    outcome: Literal["known", "unknown", "uncertain"] | None = None
    """unknown: like none of the classes; uncertain: below handler.min_probability; None: no score."""
    unknown_score: float | None = None
    """0 for a typical photo of the classes, above 1 for an unknown one; None from an archive without a score."""

    @property
    def top(self) -> ClassScore:
        return self.scores[0]


Outcome = Prediction | RequestError
"""What became of one photo among several: its prediction, or the error in its place."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Which part of a photo raised the score of a class."""

    model: str
    version: str
    label: str
    index: int
    probability: float
    method: str
    """`grad-cam`, of Selvaraju et al., 2017 (https://arxiv.org/abs/1610.02391)."""
    image_size_px: int
    """Side of the square crop that the network saw, from the photo's centre."""
    heat_map: tuple[tuple[float, ...], ...]
    """Rows of values 0..1 over that square, at a lower resolution."""
