"""Grad-CAM: which part of the photo spoke for a class, as numbers or as a picture."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from handlers.engines.cpu_engines import load_network
from handlers.engines.network import Network
from handlers.errors import InvalidRequestError
from handlers.extracted import ExtractedArchive
from handlers.images.decoding import Bytes
from handlers.images.preprocessing import load_pixels
from handlers.settings import HandlerSettings

_OVERLAY_OPACITY = 0.5


@dataclass(frozen=True, kw_only=True)
class Explanation:
    label: str
    index: int
    probability: float
    heat: np.ndarray
    """`(h, w) float32`, 0..1, at the resolution of the network's last map."""
    pixels: np.ndarray
    """`(S, S, 3) uint8`: what the network saw."""

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
        """Return a PNG of the S x S pixels with the heat laid over: blue is cold, red is hot."""
        side = self.pixels.shape[0]
        heat = Image.fromarray((self.heat * 255).astype(np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        overlay = Image.blend(Image.fromarray(self.pixels), _colour(heat), _OVERLAY_OPACITY)
        buffer = io.BytesIO()
        overlay.save(buffer, format="PNG")
        return buffer.getvalue()


class Explainer:
    """Loads the eager network and captum at the first request, for most servers never get one."""

    def __init__(self, archive: ExtractedArchive, settings: HandlerSettings) -> None:
        self._archive = archive
        self._settings = settings
        self._network: Network | None = None

    def explain(
        self, photo: Bytes, probabilities: np.ndarray, *, class_name: str | None
    ) -> Explanation:
        """Return the heat map of `class_name`, or of the likeliest class.

        Raises:
            InvalidRequestError: no such class, or this model or server cannot explain.
            PhotoError: the bytes are no image.
        """
        card = self._archive.card
        index = int(probabilities.argmax()) if class_name is None else self._find(class_name)
        pixels = load_pixels(photo, card.preprocessing, self._settings.limits)
        return Explanation(
            label=card.class_names[index],
            index=index,
            probability=float(probabilities[index]),
            heat=grad_cam(self._load(), pixels, index),
            pixels=pixels,
        )

    def _find(self, class_name: str) -> int:
        names = self._archive.card.class_names
        if class_name not in names:
            raise InvalidRequestError(
                f"there is no class {class_name[:100]!r}; there are {', '.join(names)[:1000]}."
            )
        return names.index(class_name)

    def _load(self) -> Network:
        if self._network is None:
            try:
                self._network = load_network(self._archive)
            except ModuleNotFoundError as error:
                raise InvalidRequestError(
                    f"this server cannot explain: {error.name} is not installed there."
                ) from None
        return self._network


def grad_cam(network: Network, pixels: np.ndarray, index: int) -> np.ndarray:
    """Return `(h, w) float32`, 0..1: how much each place of the network's last map spoke for `index`.

    Raises:
        InvalidRequestError: captum is not installed, or the architecture keeps no map of the photo.
    """
    try:
        from captum.attr import LayerGradCam
    except ModuleNotFoundError:
        raise InvalidRequestError(
            "this server cannot explain: captum is not installed there (pip install captum)."
        ) from None
    images = network.normalise(torch.from_numpy(pixels[None]))  # (1, 3, S, S)
    layer = _last_map(network.backbone_and_head, images)
    heat = LayerGradCam(network.backbone_and_head, layer).attribute(
        images.requires_grad_(), target=index, relu_attributions=True
    )
    peak = heat.max().clamp(min=1e-12)
    scaled: np.ndarray = (heat[0, 0] / peak).detach().float().numpy()
    return scaled


def _last_map(classifier: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return the module that comes last of those whose output still has places, `(1, C, h, w)`.

    Not the last convolution: a residual block adds to what that one says, and cuts off what is
    negative. At that convolution 6 of 12 heat maps of a ResNet-18 were empty.
    """
    found: list[nn.Module] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            found.append(module)

    hooks = [module.register_forward_hook(note) for module in classifier.modules()]
    try:
        with torch.no_grad():
            classifier(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise InvalidRequestError(
            "this architecture keeps no map of the photo that could be shown."
        )
    return found[-1]


def _colour(heat: Image.Image) -> Image.Image:
    """Return RGB of an 8-bit grey picture: blue, green, yellow, red."""
    value = np.asarray(heat, dtype=np.float32) / 255
    red = np.clip(2 * value - 0.5, 0, 1)
    green = np.clip(1.5 - np.abs(2 * value - 1) * 2, 0, 1)
    blue = np.clip(1 - 2 * value, 0, 1)
    return Image.fromarray((np.stack([red, green, blue], axis=-1) * 255).astype(np.uint8))
