"""Grad-CAM (Selvaraju et al., 2017): which places of a photo speak for a class. Legend: S image size, C channels."""

from typing import Any

import numpy as np
import torch
from torch import nn

from handlers.engines.network import Network
from handlers.errors import InvalidRequestError


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
