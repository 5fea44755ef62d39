"""MixUp and CutMix: the photos of a batch mixed with each other, and their labels with them."""

import torch
from torchvision.transforms import v2

from training.config import Mix
from training.data.dataset import Batch

# Mostly a small share of the other photo, as the authors use for large networks.
MIXUP_ALPHA = 0.2
# Uniform: any share is equally likely.
CUTMIX_ALPHA = 1.0


class Mixing:
    """MixUp blends two photos (Zhang et al., 2018), CutMix pastes a patch of one into another (Yun et al., 2019).

    "both" picks one of them for each batch. Draws from torch's global generator.
    """

    def __init__(self, mix: Mix, *, class_count: int) -> None:
        mixup = v2.MixUp(alpha=MIXUP_ALPHA, num_classes=class_count)
        cutmix = v2.CutMix(alpha=CUTMIX_ALPHA, num_classes=class_count)
        self._choices = {
            "none": [], "mixup": [mixup], "cutmix": [cutmix], "both": [mixup, cutmix],
        }[mix]  # fmt: skip

    def __call__(self, batch: Batch) -> Batch:
        """Return mixed pixels `(B, S, S, 3) uint8` and class probabilities `(B, K) float32`.

        With mix "none", return the batch itself, with labels `(B,) int64`.
        """
        if not self._choices:
            return batch
        mix = self._choices[int(torch.randint(len(self._choices), ()))]
        pixels, labels = batch
        images, probabilities = mix(
            pixels.permute(0, 3, 1, 2).float(), labels
        )  # (B, 3, S, S), (B, K)
        return images.round().to(torch.uint8).permute(0, 2, 3, 1), probabilities
