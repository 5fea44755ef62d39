"""What computes probabilities from pixels: the shape that every engine has, whether on a CPU or a GPU."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from handlers.model_card import ArchivePrecision

Pixels = TypeVar("Pixels", contravariant=True)


class Outputs(NamedTuple):
    probabilities: np.ndarray
    """`(B, K) float32`."""
    features: np.ndarray | None
    """`(B, D) float32`, the inputs of the head; None if the file of an earlier version does not return them."""


class Engine(Protocol[Pixels]):
    @property
    def name(self) -> str:
        """Its name in the log and in DescribeModel."""

    @property
    def precision(self) -> ArchivePrecision:
        """float32 if it computes with weights.safetensors, else that of model.onnx."""

    def probabilities(self, batch: Sequence[Pixels]) -> np.ndarray:
        """Return `(B, K) float32` for B images of `(S, S, 3) uint8`."""

    def outputs(self, batch: Sequence[Pixels]) -> Outputs:
        """Return the probabilities, and the features of the same pass."""
