"""Views beyond crop and flip: torchvision's policies, drawn from a generator of the view's own.

torchvision draws from torch's one global generator. The threads that make the views would share it,
and no view would come out the same twice; so the drawing is done here, the rest there.
"""

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from training.config import Augment

# A policy's strengths are numbered from 0 to here, as in both papers.
STRENGTH_COUNT = 31


class Augmentation:
    """trivial: one operation of any strength (Müller and Hutter, 2021). rand: two of middling
    strength (Cubuk et al., 2019). crop: none."""

    def __init__(self, augment: Augment) -> None:
        self._augment = augment
        options = {
            "num_magnitude_bins": STRENGTH_COUNT,
            "interpolation": InterpolationMode.BILINEAR,
        }
        self._policy = (
            v2.RandAugment(**options) if augment == "rand" else v2.TrivialAugmentWide(**options)
        )

    def __call__(self, view: Image.Image, generator: np.random.Generator) -> Image.Image:
        """Return the view after the operations that the generator decides, as large as before."""
        if self._augment == "crop":
            return view
        if self._augment == "trivial":
            return self._operate(view, generator, strength=int(generator.integers(STRENGTH_COUNT)))
        for _ in range(self._policy.num_ops):
            view = self._operate(view, generator, strength=self._policy.magnitude)
        return view

    def _operate(
        self, view: Image.Image, generator: np.random.Generator, *, strength: int
    ) -> Image.Image:
        operations = list(self._policy._AUGMENTATION_SPACE.items())
        name, (strengths_of, is_signed) = operations[int(generator.integers(len(operations)))]
        strengths = strengths_of(STRENGTH_COUNT, view.height, view.width)
        magnitude = 0.0 if strengths is None else float(strengths[strength])
        if is_signed and generator.random() < 0.5:
            magnitude = -magnitude
        changed: Image.Image = self._policy._apply_image_or_video_transform(
            view, name, magnitude, interpolation=self._policy.interpolation, fill=self._policy._fill
        )
        return changed
