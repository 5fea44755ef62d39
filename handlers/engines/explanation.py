"""Grad-CAM (Selvaraju et al., 2017): which part of the photo speaks for a class, as numbers or as an image."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from handlers.engines.network import Network, load_network
from handlers.errors import InvalidRequestError
from handlers.extracted import ExtractedArchive
from handlers.images.decoding import Bytes
from handlers.images.preprocessing import load_pixels
from handlers.settings import HandlerSettings

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
    """Loads the PyTorch network and captum at the first explanation, because most servers never give one."""

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
            heat=grad_cam(self._load(), pixels, index),
            pixels=pixels,
        )

    def _index_of(self, class_name: str) -> int:
        names = self._archive.card.class_names
        if class_name not in names:
            raise InvalidRequestError(
                f"there is no class {class_name[:100]!r}; the classes are {', '.join(names)[:1000]}."
            )
        return names.index(class_name)

    def _load(self) -> Network:
        if self._network is None:
            try:
                self._network = load_network(self._archive)
            except ModuleNotFoundError as error:
                raise InvalidRequestError(
                    f"this server cannot give explanations: {error.name} is not installed on it."
                ) from None
        return self._network


def grad_cam(network: Network, pixels: np.ndarray, index: int) -> np.ndarray:
    """Return `(h, w) float32`, 0..1: how much each place of the last feature map speaks for class `index`.

    Raises:
        InvalidRequestError: captum is not installed, or the architecture has no feature map with places.
    """
    try:
        from captum.attr import LayerGradCam
    except ModuleNotFoundError:
        raise InvalidRequestError(
            "this server cannot give explanations: captum is not installed on it (pip install captum)."
        ) from None
    images = network.normalise(torch.from_numpy(pixels[None]))  # (1, 3, S, S)
    layer = _last_feature_map(network.backbone_and_head, images)
    heat = LayerGradCam(network.backbone_and_head, layer).attribute(
        images.requires_grad_(), target=index, relu_attributions=True
    )
    peak = heat.max().clamp(min=1e-12)
    scaled: np.ndarray = (heat[0, 0] / peak).detach().float().numpy()
    return scaled


def _last_feature_map(classifier: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return the last module whose output is still a map, `(1, C, h, w)` with h and w above 1.

    Not the last convolution: a residual block adds its input to that and cuts off what is negative. At that convolution
    6 of 12 heat maps of a ResNet-18 were empty.
    """
    modules: list[nn.Module] = []

    def record(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            modules.append(module)

    hooks = [module.register_forward_hook(record) for module in classifier.modules()]
    try:
        with torch.no_grad():
            classifier(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not modules:
        raise InvalidRequestError(
            "this architecture has no feature map that an explanation could show."
        )
    return modules[-1]


def _colourise(heat: Image.Image) -> Image.Image:
    """Return an 8-bit grey image in RGB, from blue over green and yellow to red."""
    value = np.asarray(heat, dtype=np.float32) / 255
    red = np.clip(2 * value - 0.5, 0, 1)
    green = np.clip(1.5 - np.abs(2 * value - 1) * 2, 0, 1)
    blue = np.clip(1 - 2 * value, 0, 1)
    return Image.fromarray((np.stack([red, green, blue], axis=-1) * 255).astype(np.uint8))
