"""Random changes to a view beyond crop and flip: TrivialAugment, RandAugment, and FixMatch's strong view.

Each is a pure function of the view and of a generator. torchvision's transforms draw from torch's global generator,
and so does dropout, in another thread at the same time: seeding that one would make neither repeatable. `SeededDraws`
gives the transforms a generator of their own instead.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.overrides import TorchFunctionMode
from torchvision.transforms import InterpolationMode, v2

from training.config import Augment

# Largest side of the hole that is cut out, as a share of the view's side.
CUTOUT_SHARE_MAX = 0.5
GREY = (127, 127, 127)


class SeededDraws(TorchFunctionMode):
    """While active, torch.rand and torch.randint in this thread draw from a generator with the given seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func in (torch.rand, torch.randint):
            options["generator"] = self._generator
        return func(*args, **options)


class Augmentation:
    """The changes that --augment names.

    trivial: one operation of random magnitude (TrivialAugment; Müller and Hutter, 2021). rand: two operations of medium
    magnitude (RandAugment; Cubuk et al., 2019). crop: none.
    """

    def __init__(self, augment: Augment) -> None:
        transforms = {"trivial": v2.TrivialAugmentWide, "rand": v2.RandAugment}
        self._transform: Callable[[Image.Image], Image.Image] | None = None
        if augment != "crop":
            self._transform = transforms[augment](interpolation=InterpolationMode.BILINEAR)

    def __call__(self, view: Image.Image, generator: np.random.Generator) -> Image.Image:
        """Return the changed view, of the same size; with crop the view itself."""
        if self._transform is None:
            return view
        with SeededDraws(int(generator.integers(2**63))):
            return self._transform(view)


class StrongView:
    """RandAugment, then Cutout (DeVries and Taylor, 2017): the strong view of FixMatch (Sohn et al., 2020)."""

    def __init__(self) -> None:
        self._augmentation = Augmentation("rand")

    def __call__(self, view: Image.Image, generator: np.random.Generator) -> Image.Image:
        """Return the changed view, of the same size; `view` itself stays as it is."""
        changed = self._augmentation(view, generator).copy()
        half_px = view.width * generator.uniform(0, CUTOUT_SHARE_MAX) / 2
        x, y = generator.uniform(0, view.width), generator.uniform(0, view.height)
        hole = (x - half_px, y - half_px, x + half_px, y + half_px)
        ImageDraw.Draw(changed).rectangle(hole, fill=GREY)
        return changed
