"""Crops and batches: every photo once, repeatable from seed and epoch, and the pixels of serving for evaluation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from handlers.images.preprocessing import Fit, PreprocessingSpec, load_pixels
from tests.unit.training.helpers import config_of
from training.data.dataset import TrainingPhotos, preprocessing_of, random_crop, served_pixels
from training.data.photos import Photo

SPEC = PreprocessingSpec(image_size_px=16, resize_ratio=1.0)


def test_a_network_gets_pixels_normalised_as_those_it_was_pretrained_on() -> None:
    lite = preprocessing_of(config_of(architecture="efficientnet_lite1", image_size_px=240))
    assert (lite.image_size_px, lite.mean, lite.std) == (240, (127 / 255,) * 3, (128 / 255,) * 3)
    other = preprocessing_of(config_of(architecture="resnet18"))
    assert (other.mean, other.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(("fit", "sees_edges"), [("crop", False), ("pad", True), ("stretch", True)])
def test_training_evaluation_and_serving_see_the_same_part_of_a_wide_photo(
    tmp_path: Path, fit: Fit, sees_edges: bool
) -> None:
    wide = Image.new("RGB", (300, 100), (0, 200, 0))
    wide.paste((200, 0, 0), (0, 0, 60, 100))
    path = tmp_path / "wide.png"
    wide.save(path)
    photo = Photo(path=path, label=0, split="train", sha256="")
    spec = preprocessing_of(config_of(image_size_px=32, resize_ratio=1.0, fit=fit))
    assert spec.fit == fit
    ((evaluated, _),) = served_pixels([photo], spec, batch_size=1)
    # Crops of the whole area: only the fit decides what is lost.
    ((trained, _),) = TrainingPhotos([photo], spec, crop_area_min=1.0).batches(
        batch_size=1, seed=0, epoch=0
    )
    for pixels in (evaluated, trained, torch.from_numpy(load_pixels(path.read_bytes(), spec))):
        red = (pixels[..., 0] > 180) & (pixels[..., 1] < 20)
        assert bool(red.any()) == sees_edges
    padded = (trained[0, 0] == torch.tensor(spec.bar_colour)).all()
    assert bool(padded) == (fit == "pad")


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    generator = np.random.default_rng(0)
    made = []
    for number in range(9):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(generator.integers(0, 256, (24, 30, 3), dtype=np.uint8)).save(path)
        made.append(Photo(path=path, label=number % 3, split="train", sha256=str(number)))
    return made


def read(photos: list[Photo], *, batch_size: int, seed: int, epoch: int) -> list[torch.Tensor]:
    loader = TrainingPhotos(photos, SPEC, crop_area_min=0.4)
    return [pixels for pixels, _ in loader.batches(batch_size=batch_size, seed=seed, epoch=epoch)]


@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    area_min=st.floats(0.01, 1),
    seed=st.integers(0, 2**32),
)
def test_a_crop_lies_inside_the_photo(size: tuple[int, int], area_min: float, seed: int) -> None:
    left, top, right, bottom = random_crop(size, area_min, np.random.default_rng(seed))
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]


@given(seed=st.integers(0, 2**32))
def test_a_crop_of_a_square_has_the_area_and_shape_asked_for(seed: int) -> None:
    left, top, right, bottom = random_crop((1000, 1000), 0.3, np.random.default_rng(seed))
    width, height = right - left, bottom - top
    assert width * height >= 0.3 * 1000**2 * (1 - 1e-6)
    assert 3 / 4 - 1e-6 <= width / height <= 4 / 3 + 1e-6


def test_an_epoch_sees_every_photo_once(photos: list[Photo]) -> None:
    loader = TrainingPhotos(photos, SPEC, crop_area_min=0.4)
    batches = list(loader.batches(batch_size=5, seed=1, epoch=0))
    assert [tuple(pixels.shape) for pixels, _ in batches] == [(5, 16, 16, 3), (4, 16, 16, 3)]
    assert all(pixels.dtype == torch.uint8 for pixels, _ in batches)
    labels = torch.cat([labels for _, labels in batches])
    assert labels.bincount().tolist() == [3, 3, 3]


def test_no_batch_holds_a_single_photo(photos: list[Photo]) -> None:
    assert [len(pixels) for pixels in read(photos, batch_size=4, seed=0, epoch=0)] == [4, 5]


def test_views_depend_on_seed_and_epoch_alone(photos: list[Photo]) -> None:
    first = torch.cat(read(photos, batch_size=4, seed=1, epoch=2))
    # Another batch size means other threads at other times, but the same views in the same order.
    assert torch.equal(torch.cat(read(photos, batch_size=9, seed=1, epoch=2)), first)
    assert not torch.equal(torch.cat(read(photos, batch_size=4, seed=1, epoch=3)), first)
    assert not torch.equal(torch.cat(read(photos, batch_size=4, seed=2, epoch=2)), first)


def test_evaluation_sees_the_pixels_of_serving_in_order(photos: list[Photo]) -> None:
    batches = list(served_pixels(photos, SPEC, batch_size=4))
    pixels = torch.cat([pixels for pixels, _ in batches])
    expected = np.stack([load_pixels(photo.path.read_bytes(), SPEC) for photo in photos])
    assert torch.equal(pixels, torch.from_numpy(expected))
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 1, 2] * 3
