"""The square that the network sees, and the values that a spec may have."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from handlers.errors import PreprocessingError
from handlers.images.preprocessing import PreprocessingSpec, central_square, load_pixels
from tests.unit.handlers.helpers import encode


def test_pixels_have_the_promised_shape_and_type(spec, photos) -> None:
    pixels = load_pixels(photos["red"], spec)
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert pixels[..., 0].min() > 200 > 60 > pixels[..., 1].max()


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(1, 10))
def test_the_square_is_central_and_inside(width: int, height: int, ratio: float) -> None:
    left, top, right, bottom = central_square((width, height), ratio)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert right - left == pytest.approx(min(width, height) / ratio)
    assert left == pytest.approx(width - right, abs=1e-6)
    assert top == pytest.approx(height - bottom, abs=1e-6)


def test_only_the_centre_counts() -> None:
    image = Image.new("RGB", (100, 60), "blue")
    # Two pixels more on each side, because resampling reads a little beyond the edge.
    image.paste("red", (23, 3, 77, 57))
    spec = PreprocessingSpec(image_size_px=32, resize_ratio=60 / 50)
    assert load_pixels(encode(image, "PNG"), spec)[..., 0].min() == 255


def test_a_rotated_photo_gives_the_pixels_of_the_upright_one(spec) -> None:
    x = np.linspace(0, 255, 60, dtype=np.uint8)
    image = Image.fromarray(np.stack([np.tile(x, (40, 1))] * 3, axis=-1))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = image.transpose(Image.Transpose.ROTATE_90)
    turned = load_pixels(encode(stored, "PNG", exif=exif), spec).astype(int)
    assert np.abs(turned - load_pixels(encode(image, "PNG"), spec)).max() <= 1


def test_scaling_a_large_jpeg_while_decoding_changes_little() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((1600, 1280), Image.Resampling.BICUBIC)
    spec = PreprocessingSpec(image_size_px=64)
    scaled = load_pixels(encode(image, quality=95), spec).astype(int)
    whole = load_pixels(encode(image, "PNG"), spec)
    assert np.abs(scaled - whole).mean() < 2


def test_a_spec_survives_the_way_to_json_and_back() -> None:
    spec = PreprocessingSpec(image_size_px=160, interpolation="bicubic", mean=(0.5, 0.5, 0.5))
    assert PreprocessingSpec.from_dict(spec.to_dict() | {"of_a_later_version": 1}) == spec


def test_a_spec_of_an_earlier_version_scales_grey_as_it_did_then() -> None:
    values = PreprocessingSpec().to_dict()
    del values["grey_range"]
    assert PreprocessingSpec.from_dict(values).grey_range == "full"


@pytest.mark.parametrize("grey_range", ["full", "minmax", 4095])
def test_the_grey_range_survives_and_decides_the_pixels(grey_range) -> None:
    spec = PreprocessingSpec(image_size_px=1, resize_ratio=1, grey_range=grey_range)
    assert PreprocessingSpec.from_dict(spec.to_dict()) == spec
    values = np.full((4, 4), 2048, np.uint16)
    values[0, 0], values[0, 1] = 1024, 3072
    expected = {"full": 8, "minmax": 127, 4095: 128}
    pixels = load_pixels(encode(Image.fromarray(values), "PNG"), spec)
    assert abs(int(pixels[0, 0, 0]) - expected[grey_range]) <= 3


@pytest.mark.parametrize(
    "field", sorted(set(PreprocessingSpec().to_dict()) - {"grey_range", "fit"})
)
def test_a_missing_field_is_named(field: str) -> None:
    values = PreprocessingSpec().to_dict()
    del values[field]
    with pytest.raises(PreprocessingError, match=field):
        PreprocessingSpec.from_dict(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_size_px", 0),
        ("image_size_px", 5000),
        ("image_size_px", 224.0),
        ("image_size_px", True),
        ("resize_ratio", 0.875),
        ("resize_ratio", math.nan),
        ("interpolation", "nearest"),
        ("mean", (0.5, 0.5)),
        ("mean", "abc"),
        ("mean", (0.1, math.inf, 0.2)),
        ("std", (0.1, 0.0, 0.2)),
        ("grey_range", 0),
        ("grey_range", True),
        ("grey_range", 4095.0),
        ("grey_range", "auto"),
        ("grey_range", 2**32),
    ],
)
def test_an_invalid_value_is_named(field: str, value: object) -> None:
    with pytest.raises(PreprocessingError, match=field):
        PreprocessingSpec(**{field: value})
