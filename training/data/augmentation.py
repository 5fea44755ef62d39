"""Random changes to a view beyond crop and flip: TrivialAugment and RandAugment.

Each is a pure function of the view and of a generator. torchvision's transforms draw from torch's global generator,
and so does dropout, in another thread at the same time: seeding that one would make neither repeatable. `SeededDraws`
gives the transforms a generator of their own instead.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.overrides import TorchFunctionMode
from torchvision.transforms import InterpolationMode, v2

from training.config import Augment


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
