"""Training holds photos to the limits of serving, by the same flags, and decodes what it has let in."""

from pathlib import Path

import pytest
from PIL import Image

from handlers.images.limits import DecodeLimits
from training.config import TrainConfig
from training.data.checked import decode_checked, header_of, load_checked
from training.data.dataset import preprocessing_of
from training.data.files import BadFile, check_files
from training.errors import ConfigError
from training.export.model_config import with_limits

NAMES = ("max_pixels", "max_header_pixels", "max_bytes")


def test_a_photo_is_skipped_by_the_limit_that_it_exceeds(tmp_path: Path) -> None:
    jpeg, png = tmp_path / "a.jpg", tmp_path / "a.png"
    for path in (jpeg, png):
        Image.new("RGB", (400, 300)).save(path)
    limits = DecodeLimits(max_pixels=100_000)
    accepted, refused = check_files([jpeg, png], limits=limits)
    assert isinstance(accepted, str)
    assert isinstance(refused, BadFile)
    assert "400 x 300 pixels; an image may have at most 100000 (max_pixels)" in refused.reason
    (refused,) = check_files([jpeg], limits=DecodeLimits(max_header_pixels=100_000))
    assert "(max_header_pixels)" in refused.reason
    (refused,) = check_files([jpeg], limits=DecodeLimits(max_bytes=10))
    assert "(max_bytes)" in refused.reason


def test_what_was_let_in_is_decoded_whatever_the_default(tmp_path: Path) -> None:
    # More than the 50 million pixels of the default, and more than the 89 million above which Pillow warns.
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 9_000), 1).save(path)
    (before,) = check_files([path])
    assert isinstance(before, BadFile)
    (accepted,) = check_files([path], limits=DecodeLimits(max_pixels=100_000_000))
    assert isinstance(accepted, str)
    assert header_of(path) == (9_000, "PNG")
    assert decode_checked(path, shorter_side_px=16).size == (10_000, 9_000)
    spec = preprocessing_of(TrainConfig(data=tmp_path, image_size_px=32))
    assert load_checked(path, spec).min() == 255


def test_the_flags_are_the_limits() -> None:
    config = TrainConfig(data=Path("p"), max_pixels=1, max_header_pixels=2, max_bytes=3)
    assert config.limits == DecodeLimits(max_pixels=1, max_header_pixels=2, max_bytes=3)
    assert TrainConfig(data=Path("p")).limits == DecodeLimits()


@pytest.mark.parametrize("name", [*NAMES, "grey_range"])
def test_a_limit_is_a_number_above_0(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')}"):
        TrainConfig(data=Path("p"), **{name: 0})


def test_an_archive_serves_the_photos_that_its_run_was_trained_on() -> None:
    limits = DecodeLimits(max_pixels=90_000_000)
    config = {"batchSize": 1, "handler": {"default_top_k": 3}}
    assert with_limits(config, limits) == {
        "batchSize": 1,
        "handler": {"max_pixels": 90_000_000, "default_top_k": 3},
    }
    named = {"handler": {"max_pixels": 5}}
    assert with_limits(named, limits) == named
    assert with_limits({"batchSize": 1}, DecodeLimits()) == {"batchSize": 1}
