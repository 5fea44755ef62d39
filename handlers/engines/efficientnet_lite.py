"""EfficientNet-Lite 0 to 2 (Google, 2020), which torchvision does not have, built from its blocks.

EfficientNet for CPUs: ReLU6 for SiLU, and no squeeze-and-excitation. The stem, the number of layers
of the first and last stage, and the last convolution are the same in all of them.

Convolutions pad symmetrically, as torchvision's do. The weights were trained with TensorFlow's SAME, where the odd
pixel of a stride of 2 goes right and below: ImageNet's answers need that (tests/unit/handlers/engines), but features
for fine-tuning are worth the same (clothing, 60 photos a class: 0.839, SAME 0.836) in a fifth less time.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

# By architecture: how much wider and deeper it is than Lite0, and its dropout.
_SCALES: Mapping[str, tuple[float, float, float]] = {
    "efficientnet_lite0": (1.0, 1.0, 0.2),
    "efficientnet_lite1": (1.0, 1.1, 0.2),
    "efficientnet_lite2": (1.1, 1.2, 0.3),
}
EFFICIENTNET_LITES = tuple(_SCALES)
# (pixel 0..255 - 127) / 128.
LITE_MEAN = (127 / 255,) * 3
LITE_STD = (128 / 255,) * 3
_LAST_CHANNELS = 1280
# TensorFlow's. Some running variances are 0, which PyTorch's 1e-5 would amplify.
_BATCHNORM_EPS = 1e-3
# Expansion, kernel, stride, channels in and out, layers.
_STAGES = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


def build_efficientnet_lite(architecture: str) -> "nn.Module":
    """Return the classifier with random weights and ImageNet's 1000 outputs, its modules named as torchvision's."""
    # Not at the top: the command line needs the names above, and torch takes seconds to import.
    from torch import nn
    from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig

    width, depth, dropout = _SCALES[architecture]
    block = partial(MBConv, se_layer=nn.Identity)
    first, last = _STAGES[0], _STAGES[-1]
    classifier: nn.Module = EfficientNet(
        [
            MBConvConfig(*stage, width, 1.0 if stage in (first, last) else depth, block)
            for stage in _STAGES
        ],
        dropout,
        norm_layer=partial(nn.BatchNorm2d, eps=_BATCHNORM_EPS),
        last_channel=_LAST_CHANNELS,
    )
    _replace_silu(classifier)
    return classifier


def _replace_silu(module: "nn.Module") -> None:
    from torch import nn

    for name, child in module.named_children():
        if isinstance(child, nn.SiLU):
            setattr(module, name, nn.ReLU6(inplace=True))
        else:
            _replace_silu(child)
