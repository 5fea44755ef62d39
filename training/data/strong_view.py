"""A strong view of a photo: RandAugment, then a hole (Cutout, DeVries and Taylor, 2017), as FixMatch has it."""

import numpy as np
from PIL import Image, ImageDraw

from training.data.augmentation import Augmentation

# Largest side of the hole, as a share of the view's.
HOLE_SHARE_MAX = 0.5
GREY = (127, 127, 127)


class StrongView:
    def __init__(self) -> None:
        self._augmentation = Augmentation("rand")

    def __call__(self, view: Image.Image, generator: np.random.Generator) -> Image.Image:
        """Return the view changed as the generator decides, as large as before."""
        changed = self._augmentation(view, generator).copy()
        half_px = view.width * generator.uniform(0, HOLE_SHARE_MAX) / 2
        x, y = generator.uniform(0, view.width), generator.uniform(0, view.height)
        hole = (x - half_px, y - half_px, x + half_px, y + half_px)
        ImageDraw.Draw(changed).rectangle(hole, fill=GREY)
        return changed
