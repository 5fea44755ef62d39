"""Photos mixed with their neighbours in the batch, and their labels with them."""

import torch
from torchvision.transforms import v2

from training.config import Mix
from training.data.dataset import Batch

# A small share of the other photo most of the time, as its authors use for large networks.
MIXUP_ALPHA = 0.2
# Any share equally often.
CUTMIX_ALPHA = 1.0


class Mixing:
    """mixup blends two photos (Zhang et al., 2018), cutmix puts a patch of one into the other (Yun et
    al., 2019), both takes either, batch by batch. Draws from torch's global generator."""

    def __init__(self, mix: Mix, *, class_count: int) -> None:
        mixup = v2.MixUp(alpha=MIXUP_ALPHA, num_classes=class_count)
        cutmix = v2.CutMix(alpha=CUTMIX_ALPHA, num_classes=class_count)
        self._choices = {
            "none": [], "mixup": [mixup], "cutmix": [cutmix], "both": [mixup, cutmix],
        }[mix]  # fmt: skip

    def __call__(self, batch: Batch) -> Batch:
        """Return pixels as given, `(B, S, S, 3) uint8`, and the share of each class, `(B, K)`.

        Without mixing the batch itself, labels `(B,)`.
        """
        if not self._choices:
            return batch
        mixed = self._choices[int(torch.randint(len(self._choices), ()))]
        pixels, labels = batch
        planes, shares = mixed(pixels.permute(0, 3, 1, 2).float(), labels)
        return planes.round().to(torch.uint8).permute(0, 2, 3, 1), shares
