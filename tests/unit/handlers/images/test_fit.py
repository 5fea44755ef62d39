"""The whole picture: a wide photo cropped, padded or stretched, the same on a CPU, on a GPU and turned by EXIF."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from handlers.engines.cuda_loader import crop_on_device
from handlers.errors import PreprocessingError
from handlers.images.preprocessing import FITS, PreprocessingSpec, load_pixels, scaled_size

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
BAR = (124, 116, 104)  # 255 times the mean of ImageNet


def png(image: Image.Image, orientation: int = 1) -> bytes:
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    image.save(data, "PNG", exif=exif)
    return data.getvalue()


def wide_photo() -> Image.Image:
    """A photo of 300 x 100 pixels: a red, a green and a blue third."""
    photo = Image.new("RGB", (300, 100))
    for third, colour in enumerate((RED, GREEN, BLUE)):
        photo.paste(colour, (100 * third, 0, 100 * third + 100, 100))
    return photo


def spec_of(fit: str, side: int = 30) -> PreprocessingSpec:
    return PreprocessingSpec(image_size_px=side, resize_ratio=1.0, fit=fit)


def test_a_crop_loses_what_lies_at_the_edges() -> None:
    pixels = load_pixels(png(wide_photo()), spec_of("crop"))
    # The columns at the edges are resampled with their neighbours.
    assert (pixels[:, 1:-1] == GREEN).all()


def test_stretch_distorts_the_whole_photo_to_the_square() -> None:
    pixels = load_pixels(png(wide_photo()), spec_of("stretch"))
    for column, colour in ((3, RED), (15, GREEN), (27, BLUE)):
        assert (pixels[:, column] == colour).all()


def test_pad_puts_the_whole_photo_between_bars_of_the_mean() -> None:
    pixels = load_pixels(png(wide_photo()), spec_of("pad"))
    assert (pixels[:10] == BAR).all()
    assert (pixels[20:] == BAR).all()
    for column, colour in ((3, RED), (15, GREEN), (27, BLUE)):
        assert (pixels[10:20, column] == colour).all()


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_the_resize_ratio_is_for_crop_alone(fit: str) -> None:
    zoomed = PreprocessingSpec(image_size_px=30, resize_ratio=1.5, fit=fit)
    assert zoomed.shorter_side_px == 30
    data = png(wide_photo())
    assert (load_pixels(data, zoomed) == load_pixels(data, spec_of(fit))).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("side", [30, 31])
@pytest.mark.parametrize("size", [(300, 100), (97, 113), (3, 200)])
def test_a_photo_turned_by_exif_has_the_pixels_of_the_upright_one(fit, side, size) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    upright = Image.fromarray(noise)
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    spec = spec_of(fit, side)
    difference = load_pixels(png(upright), spec).astype(int) - load_pixels(png(turned, 6), spec)
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(300, 100), (100, 300), (120, 120)])
def test_the_gpus_path_has_the_pixels_of_the_cpus(fit: str, size: tuple[int, int]) -> None:
    photo = wide_photo().resize(size)
    tensor = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    on_device = crop_on_device(tensor, spec_of(fit)).numpy().astype(int)
    assert on_device.shape == (30, 30, 3)
    assert np.abs(on_device - load_pixels(png(photo), spec_of(fit))).mean() < 2


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 512))
def test_the_padded_photo_keeps_its_shape_and_its_bars_are_equal(width, height, side) -> None:
    scaled = scaled_size((width, height), "pad", side_px=side)
    assert max(scaled) == side
    for length, original in zip(scaled, (width, height), strict=True):
        assert 1 <= length <= side
        assert (side - length) % 2 == 0
        assert abs(length - side * original / max(width, height)) <= 2
    assert scaled_size((width, height), "stretch", side_px=side) == (side, side)


def test_a_spec_of_an_earlier_version_is_cropped() -> None:
    values = spec_of("pad").to_dict()
    assert PreprocessingSpec.from_dict(values).fit == "pad"
    del values["fit"]
    assert PreprocessingSpec.from_dict(values).fit == "crop"


def test_another_fit_is_refused() -> None:
    with pytest.raises(PreprocessingError, match=r"fit must be crop or pad or stretch, not 'zoom'"):
        spec_of("zoom")
