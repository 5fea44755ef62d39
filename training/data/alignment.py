"""Thumbnails of two photos compared in colour, one laid over the part of the other that it may be cropped from.

The crop is found by Lucas and Kanade's method (1981): from a first guess, least squares over the four edges.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_PX = 48
COMPARED_PX = 32
BLOCK_PX = 4
DESCRIPTOR_PX = 8
STEPS = 6
# Every copy cropped by up to 10 % a side is near one of these.
EDGE = 0.09
# Left, upper, right and lower edge of the part of a photo that a copy may show, as shares of its width and height.
CROPS: tuple[tuple[float, ...], ...] = tuple(
    (left, upper, 1 - right, 1 - lower)
    for left, upper, right, lower in itertools.product((0.0, EDGE), repeat=4)
)
CROPPED_MAX = 0.2

Floats = NDArray[np.float32]


def descriptors(thumbnail: Image.Image, crops: Sequence[tuple[float, ...]]) -> Floats:
    """Return `(crops, 192)` of length 1 each: the colours of each crop at 8x8, less their mean."""
    rows = np.stack(
        [_pixels(thumbnail, crop, DESCRIPTOR_PX, Image.Resampling.BOX) for crop in crops]
    )
    rows -= rows.mean(axis=(1, 2), keepdims=True)
    rows = rows.reshape(len(crops), -1)
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return np.asarray(rows / lengths, dtype=np.float32)


def deviation(thumbnail: Image.Image) -> float:
    """Return the standard deviation of the colours over the photo, in levels of 255: 0 where it is plain."""
    pixels = _pixels(thumbnail, CROPS[0], COMPARED_PX)
    return float(np.sqrt(pixels.var(axis=(0, 1)).mean()))


def differences(
    whole: Image.Image, part: Image.Image, *, first_crop: tuple[float, ...]
) -> tuple[float, float]:
    """Return how `part` differs from the part of `whole` it fits best: over all, and in the worst block of 4x4 pixels.

    Both are root mean squares, in levels of 255.
    """
    target = _pixels(part, CROPS[0], COMPARED_PX)
    crop = np.array(first_crop)
    differences_seen = []
    for _ in range(STEPS):
        cropped = _pixels(whole, crop, COMPARED_PX)
        difference = target - cropped
        blocks = (difference**2).reshape(COMPARED_PX // BLOCK_PX, BLOCK_PX, -1, BLOCK_PX, 3)
        squares = blocks.mean(axis=(1, 3, 4))
        differences_seen.append((float(np.sqrt(squares.mean())), float(np.sqrt(squares.max()))))
        crop = crop + _step(cropped, difference, crop)
        crop = np.clip(
            crop, (0, 0, 1 - CROPPED_MAX, 1 - CROPPED_MAX), (CROPPED_MAX, CROPPED_MAX, 1, 1)
        )
    return min(differences_seen)


def _step(cropped: Floats, difference: Floats, crop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far to move the four edges, to first order, so that the difference vanishes."""
    down, right = np.gradient(cropped, axis=(0, 1))
    position = (np.arange(COMPARED_PX) + 0.5) / COMPARED_PX
    right *= COMPARED_PX / (crop[2] - crop[0])
    down *= COMPARED_PX / (crop[3] - crop[1])
    along, across = position[None, :, None], position[:, None, None]
    columns = (right * (1 - along), down * (1 - across), right * along, down * across)
    slopes = np.stack(columns, axis=-1).reshape(-1, 4)
    normal = slopes.T @ slopes
    # Without this a photo of stripes, which may slide along itself, has no solution.
    damping = 1e-3 * np.trace(normal) / 4 + 1e-6
    return np.linalg.solve(normal + damping * np.eye(4), slopes.T @ difference.ravel())


def _pixels(
    thumbnail: Image.Image,
    crop: tuple[float, ...] | NDArray[np.float64],
    side_px: int,
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> Floats:
    """Return `(side, side, 3) float32 0..255`."""
    left, upper, right, lower = (float(edge) * THUMBNAIL_PX for edge in crop)
    resized = thumbnail.resize((side_px, side_px), resampling, box=(left, upper, right, lower))
    return np.asarray(resized, dtype=np.float32)
