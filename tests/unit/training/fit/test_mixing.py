"""Mixed photos and stronger views."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.unit.training.helpers import pixels
from training.data.augmentation import Augmentation
from training.fit.mixing import Mixing


def test_nothing_is_mixed_unless_asked_for() -> None:
    batch = pixels(4), torch.tensor([0, 1, 2, 0])
    assert Mixing("none", class_count=3)(batch) is batch


@pytest.mark.parametrize("mix", ["mixup", "cutmix", "both"])
def test_labels_are_mixed_as_the_photos_are(mix: str) -> None:
    torch.manual_seed(1)
    black, white = torch.zeros(16, 16, 3, dtype=torch.uint8), torch.full((16, 16, 3), 255).byte()
    batch = torch.stack([black, white]), torch.tensor([0, 1])
    for _ in range(20):
        mixed, probabilities = Mixing(mix, class_count=3)(batch)
        assert mixed.shape == (2, 16, 16, 3)
        assert mixed.dtype == torch.uint8
        torch.testing.assert_close(probabilities.sum(1), torch.ones(2))
        # A photo's brightness is the share of the white one in it; 8-bit pixels are rounded.
        whiteness = mixed.float().mean((1, 2, 3)) / 255
        torch.testing.assert_close(probabilities[:, 1], whiteness, atol=0.003, rtol=0)


@pytest.mark.parametrize("augment", ["trivial", "rand"])
def test_a_stronger_view_follows_from_its_generator_alone(augment: str) -> None:
    view = Image.fromarray(pixels(1)[0].numpy())
    augmentation = Augmentation(augment)
    torch.manual_seed(0)
    first = [np.array(augmentation(view, np.random.default_rng(seed))) for seed in range(30)]
    torch.manual_seed(1)
    again = [np.array(augmentation(view, np.random.default_rng(seed))) for seed in range(30)]
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert {one.shape for one in first} == {(16, 16, 3)}
    assert len({one.tobytes() for one in first}) > 10


def test_plain_views_stay_as_they_are() -> None:
    view = Image.fromarray(pixels(1)[0].numpy())
    assert Augmentation("crop")(view, np.random.default_rng(0)) is view
