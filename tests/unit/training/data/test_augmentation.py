"""Augmented views: repeatable from their generator in any thread, and no draw from torch's own."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from training.data.augmentation import Augmentation

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))


@pytest.mark.parametrize("augment", ["trivial", "rand"])
def test_threads_at_once_make_the_same_views_as_one_alone(augment: str) -> None:
    augmentation = Augmentation(augment)

    def view(seed: int) -> bytes:
        return augmentation(PHOTO, np.random.default_rng(seed)).tobytes()

    expected = [view(seed) for seed in range(200)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(view, range(200))) == expected


@pytest.mark.parametrize("augment", ["trivial", "rand"])
def test_dropout_draws_the_same_whatever_is_augmented_meanwhile(augment: str) -> None:
    before = torch.get_rng_state()
    Augmentation(augment)(PHOTO, np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), before)
