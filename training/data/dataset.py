"""Batches of pixels: photos are decoded once, cropped anew every epoch, and prepared while the network computes."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from handlers.engines.efficientnet_lite import EFFICIENTNET_LITES, LITE_MEAN, LITE_STD
from handlers.images.preprocessing import PreprocessingSpec, fit_square
from training.config import Augment, TrainConfig
from training.data.augmentation import Augmentation
from training.data.balance import draw_order
from training.data.checked import decode_checked, load_checked
from training.data.photos import Photo
from training.distributed import SINGLE_PROCESS, ProcessGroup
from training.threads import file_threads

# Decoded photos are cached up to this size; the rest of a larger set is decoded again every epoch.
CACHE_LIMIT_BYTES = 2 * 2**30
# Photos are decoded somewhat larger than the network's input, so that small crops are not upscaled much.
CROP_HEADROOM = 1.4
LOG_ASPECT_RATIO_MAX = math.log(4 / 3)
CROP_ATTEMPTS = 10

Batch = tuple[torch.Tensor, torch.Tensor]


def preprocessing_of(config: TrainConfig) -> PreprocessingSpec:
    """Return how evaluation and serving turn a photo into pixels, and how the network normalises them."""
    spec = PreprocessingSpec(
        image_size_px=config.image_size_px,
        resize_ratio=config.resize_ratio,
        grey_range=config.grey_range,
        fit=config.fit,
    )
    if config.architecture in EFFICIENTNET_LITES:
        return replace(spec, mean=LITE_MEAN, std=LITE_STD)
    return spec


def shape_of(spec: PreprocessingSpec) -> tuple[int, ...]:
    """Return the shape of a photo's pixels: `(S, S, 3)`."""
    return spec.image_size_px, spec.image_size_px, 3


class TrainingPhotos:
    """Random views of the photos, made in one thread pool: Pillow releases the GIL."""

    def __init__(
        self,
        photos: Sequence[Photo],
        spec: PreprocessingSpec,
        *,
        crop_area_min: float,
        augment: Augment = "crop",
    ) -> None:
        self.photos = photos
        self._spec = spec
        self._crop_area_min = crop_area_min
        self._augmentation = Augmentation(augment)
        self._shape = shape_of(spec)
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
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> Iterator[Batch]:
        """Yield pixels `(B, S, S, 3) uint8`, 0..255 RGB, and labels `(B,) int64`; seed and epoch decide both.

        Each photo comes once per epoch; if `balanced`, each class equally often; with `steps`, round after round for
        that many full batches. `batch_size` counts the photos of all processes; each process gets its share of the same
        order.
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
        with file_threads() as pool:
            pending: list[tuple[list[Future[np.ndarray]], list[int]]] = []
            for first, end in pairwise([0, *ends]):
                part = group.shard_of_batch(first, end)
                indices = order[part]
                views = [
                    pool.submit(self._view, int(i), int(s))
                    for i, s in zip(indices, seeds[part], strict=True)
                ]
                pending.append((views, labels[indices].tolist()))
                if len(pending) > 2:
                    yield _collect(*pending.pop(0), self._shape)
            for views, part_labels in pending:
                yield _collect(views, part_labels, self._shape)

    def _view(self, index: int, seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        image = self._decoded(self.photos[index].path)
        return np.array(self._augmentation(self._crop(image, generator), generator))

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
        image = decode_checked(path, shorter_side_px=side_px, grey_range=self._spec.grey_range)
        if self._spec.fit != "crop":
            # The random crops are those of the padded or stretched square, as evaluation and serving see it.
            image = fit_square(image, self._spec, side_px=side_px)
        size_bytes = image.width * image.height * 3
        if self._cached_bytes + size_bytes <= CACHE_LIMIT_BYTES:
            self._cached_bytes += size_bytes
            self._cache[path] = image
        return image


def random_crop(
    size_px: tuple[int, int], area_min: float, generator: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom, in pixels, of a crop of random area and aspect ratio.

    As in Szegedy et al. (2015) and torchvision's RandomResizedCrop; `area_min` is a share of the photo's area.
    """
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
    """Yield the pixels that serving computes, `(B, S, S, 3) uint8`, and labels `(B,) int64`, in the order given."""
    with file_threads() as pool:
        for start in range(0, len(photos), batch_size):
            part = photos[start : start + batch_size]
            views = [pool.submit(load_checked, photo.path, spec) for photo in part]
            yield _collect(views, [photo.label for photo in part], shape_of(spec))


def _collect(
    views: Sequence[Future[np.ndarray]], labels: Sequence[int], shape: tuple[int, ...]
) -> Batch:
    # A process may get no photo of an epoch's last step; it still needs a batch, an empty one.
    pixels = np.empty((len(views), *shape), np.uint8)
    for row, view in zip(pixels, views, strict=True):
        row[:] = view.result()
    return torch.from_numpy(pixels), torch.tensor(labels, dtype=torch.int64)
