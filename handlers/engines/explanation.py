"""Explanations: which part of the photo speaks for a class, as numbers or as an image.

PyTorch and captum are imported where an explanation is computed: a process that gives none has neither in memory, and
`import torch` alone makes it 540 MB resident.
"""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from handlers.errors import InvalidRequestError
from handlers.extracted import ExtractedArchive
from handlers.images.decoding import Bytes
from handlers.images.preprocessing import load_pixels
from handlers.settings import HandlerSettings

if TYPE_CHECKING:
    from handlers.engines.network import Network

_OVERLAY_OPACITY = 0.5


@dataclass(frozen=True, kw_only=True)
class GradCamExplanation:
    label: str
    index: int
    probability: float
    heat: np.ndarray
    """`(h, w) float32`, 0..1, at the resolution of the network's last feature map."""
    pixels: np.ndarray
    """`(S, S, 3) uint8`: the network's input."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "index": self.index,
            "probability": round(self.probability, 6),
            "method": "grad-cam",
            "image_size_px": self.pixels.shape[0],
            "heat_map": [[round(float(value), 4) for value in row] for row in self.heat],
        }

    def overlay_png(self) -> bytes:
        """Return a PNG of the S x S pixels under the heat map: blue is low, red is high."""
        side = self.pixels.shape[0]
        heat = Image.fromarray((self.heat * 255).astype(np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        overlay = Image.blend(Image.fromarray(self.pixels), _colourise(heat), _OVERLAY_OPACITY)
        buffer = io.BytesIO()
        overlay.save(buffer, format="PNG")
        return buffer.getvalue()


class Explainer:
    """Loads the PyTorch network at the first explanation, because most servers never give one."""

    def __init__(self, archive: ExtractedArchive, settings: HandlerSettings) -> None:
        self._archive = archive
        self._settings = settings
        self._network: Network | None = None

    def explain(
        self, photo: Bytes, probabilities: np.ndarray, *, class_name: str | None
    ) -> GradCamExplanation:
        """Return the heat map of `class_name`, or of the class with the highest probability.

        Raises:
            InvalidRequestError: there is no such class, or this model or server cannot give explanations.
            PhotoError: the bytes are not an image.
        """
        card = self._archive.card
        index = int(probabilities.argmax()) if class_name is None else self._index_of(class_name)
        pixels = load_pixels(photo, card.preprocessing, self._settings.limits)
        return GradCamExplanation(
            label=card.class_names[index],
            index=index,
            probability=float(probabilities[index]),
            heat=self._heat(pixels, index),
            pixels=pixels,
        )

    def _index_of(self, class_name: str) -> int:
        names = self._archive.card.class_names
        if class_name not in names:
            raise InvalidRequestError(
                f"there is no class {class_name[:100]!r}; the classes are {', '.join(names)[:1000]}."
            )
        return names.index(class_name)

    def _heat(self, pixels: np.ndarray, index: int) -> np.ndarray:
        try:
            network = self._load()
            from handlers.engines.grad_cam import grad_cam
        except ModuleNotFoundError as error:
            raise InvalidRequestError(
                f"this server cannot give explanations: {error.name} is not installed on it."
            ) from None
        return grad_cam(network, pixels, index)

    def _load(self) -> "Network":
        if self._network is None:
            from handlers.engines.network import load_network

            self._network = load_network(self._archive)
        return self._network


def _colourise(heat: Image.Image) -> Image.Image:
    """Return an 8-bit grey image in RGB, from blue over green and yellow to red."""
    value = np.asarray(heat, dtype=np.float32) / 255
    red = np.clip(2 * value - 0.5, 0, 1)
    green = np.clip(1.5 - np.abs(2 * value - 1) * 2, 0, 1)
    blue = np.clip(1 - 2 * value, 0, 1)
    return Image.fromarray((np.stack([red, green, blue], axis=-1) * 255).astype(np.uint8))
