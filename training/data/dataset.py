"""Batches of pixels: decoded once, cropped anew every epoch, loaded while the network computes."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from handlers.images.decoding import decode_photo
from handlers.images.preprocessing import PreprocessingSpec, load_pixels
from training.config import Augment, TrainConfig
from training.data.augmentation import Augmentation
from training.data.balance import draw_order
from training.data.photos import Photo
from training.data.strong_view import StrongView
from training.distributed import ALONE, ProcessGroup

# Decoded photos are kept up to this much; a larger set is decoded again every epoch.
CACHE_LIMIT_BYTES = 2 * 2**30
# Crops are cut from photos a little larger than the network's square, so that the smallest crop is
# not blown up much.
CROP_HEADROOM = 1.4
LOG_ASPECT_RATIO_MAX = math.log(4 / 3)
CROP_ATTEMPTS = 10

Batch = tuple[torch.Tensor, torch.Tensor]


def preprocessing_of(config: TrainConfig) -> PreprocessingSpec:
    """Return how a photo becomes the pixels that judging and serving see."""
    return PreprocessingSpec(image_size_px=config.image_size_px, resize_ratio=config.resize_ratio)


def shape_of(spec: PreprocessingSpec) -> tuple[int, ...]:
    """Return the shape of a photo's pixels, `(S, S, 3)`."""
    return spec.image_size_px, spec.image_size_px, 3


class TrainingPhotos:
    """Random views of the photos; one pool of threads, for Pillow releases the interpreter lock."""

    def __init__(
        self,
        photos: Sequence[Photo],
        spec: PreprocessingSpec,
        *,
        crop_area_min: float,
        augment: Augment = "crop",
        is_paired: bool = False,
    ) -> None:
        self.photos = photos
        self._spec = spec
        self._crop_area_min = crop_area_min
        self._augmentation = Augmentation(augment)
        self._strong_view = StrongView() if is_paired else None
        self._shape = (2, *shape_of(spec)) if is_paired else shape_of(spec)
        self._cache: dict[Path, Image.Image] = {}
        self._cached_bytes = 0

    def batches(
        self,
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        balanced: bool = False,
        steps: int | None = None,
        ranks: ProcessGroup = ALONE,
    ) -> Iterator[Batch]:
        """Yield pixels `(B, S, S, 3) uint8` and labels `(B,) int64`, by seed and epoch.

        Pairs are `(B, 2, S, S, 3)`: a weak and a strong view. Each photo once, or, if balanced, the
        photos of each class equally often in all; or again and again for so many whole steps.
        `batch_size` counts the photos of all processes; each gets its share of the same order.
        """
        generator = np.random.default_rng((seed, epoch))
        labels = np.array([photo.label for photo in self.photos])
        count = None if steps is None else steps * batch_size
        order = draw_order(labels, generator, balanced=balanced, count=count)
        seeds = generator.integers(0, 2**63, size=len(order))
        ends = [*range(batch_size, len(order), batch_size), len(order)]
        if len(ends) > 1 and len(order) % batch_size == 1:
            # BatchNorm cannot train on a single photo.
            del ends[-2]
        with ThreadPoolExecutor() as pool:
            waiting: list[tuple[list[Future[np.ndarray]], list[int]]] = []
            for first, end in pairwise([0, *ends]):
                part = ranks.share_of_step(first, end)
                indices = order[part]
                views = [
                    pool.submit(self._view, int(i), int(s))
                    for i, s in zip(indices, seeds[part], strict=True)
                ]
                waiting.append((views, labels[indices].tolist()))
                if len(waiting) > 2:
                    yield _collect(*waiting.pop(0), self._shape)
            for views, part_labels in waiting:
                yield _collect(views, part_labels, self._shape)

    def _view(self, index: int, seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        image = self._decoded(self.photos[index].path)
        weak = np.array(self._augmentation(self._crop(image, generator), generator))
        if self._strong_view is None:
            return weak
        strong = self._strong_view(self._crop(image, generator), generator)
        return np.stack([weak, np.array(strong)])

    def _crop(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        box = random_crop(image.size, self._crop_area_min, generator)
        side = self._spec.image_size_px
        view = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
        if generator.random() < 0.5:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return view

    def _decoded(self, path: Path) -> Image.Image:
        if path in self._cache:
            return self._cache[path]
        side_px = math.ceil(self._spec.image_size_px * CROP_HEADROOM)
        image = decode_photo(path.read_bytes(), shorter_side_px=side_px)
        size_bytes = image.width * image.height * 3
        if self._cached_bytes + size_bytes <= CACHE_LIMIT_BYTES:
            self._cached_bytes += size_bytes
            self._cache[path] = image
        return image


def random_crop(
    size_px: tuple[int, int], area_min: float, generator: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of a crop of random area and shape (Szegedy et al., 2015)."""
    width, height = size_px
    for _ in range(CROP_ATTEMPTS):
        area = width * height * generator.uniform(area_min, 1)
        ratio = math.exp(generator.uniform(-LOG_ASPECT_RATIO_MAX, LOG_ASPECT_RATIO_MAX))
        crop_width, crop_height = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if crop_width <= width and crop_height <= height:
            left = generator.uniform(0, width - crop_width)
            top = generator.uniform(0, height - crop_height)
            return left, top, min(left + crop_width, width), min(top + crop_height, height)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def served_pixels(
    photos: Sequence[Photo], spec: PreprocessingSpec, *, batch_size: int
) -> Iterator[Batch]:
    """Yield the pixels serving computes, `(B, S, S, 3) uint8`, and labels, in the order given."""
    with ThreadPoolExecutor() as pool:
        for at in range(0, len(photos), batch_size):
            part = photos[at : at + batch_size]
            views = [pool.submit(load_pixels, photo.path.read_bytes(), spec) for photo in part]
            yield _collect(views, [photo.label for photo in part], shape_of(spec))


def _collect(
    views: Sequence[Future[np.ndarray]], labels: Sequence[int], shape: tuple[int, ...]
) -> Batch:
    # A process may get none of the last photos of an epoch, which has to be a batch all the same.
    pixels = np.empty((len(views), *shape), np.uint8)
    for row, view in zip(pixels, views, strict=True):
        row[:] = view.result()
    return torch.from_numpy(pixels), torch.tensor(labels, dtype=torch.int64)
