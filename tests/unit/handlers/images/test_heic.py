"""HEIC, as phones write it. The files in heic/ were made with pillow-heif, whose encoder the project does not need."""

from pathlib import Path

import numpy as np
import pytest

from handlers.errors import ImageTooLargeError, UndecodableImageError, UnsupportedMediaTypeError
from handlers.images import formats
from handlers.images.decoding import decode_photo, read_header
from handlers.images.limits import DecodeLimits
from handlers.images.preprocessing import PreprocessingSpec, load_pixels

FOLDER = Path(__file__).parent / "heic"
RED, BLUE, GREY = (220, 30, 30), (90, 90, 220), (90, 90, 90)


def check_upright(data: bytes) -> None:
    """Check for the scene of all the files: red at the top, blue on the left, grey in the rest."""
    pixels = np.asarray(decode_photo(data, shorter_side_px=1000)).astype(int)
    assert pixels.shape == (72, 96, 3)
    for (row, column), colour in (((10, 60), RED), ((60, 10), BLUE), ((60, 60), GREY)):
        assert np.abs(pixels[row, column] - colour).max() <= 6


@pytest.mark.parametrize("number", range(1, 9))
def test_the_transform_of_the_file_is_applied(number: int) -> None:
    check_upright((FOLDER / f"orientation_{number}.heic").read_bytes())


def test_the_exif_orientation_is_not_applied_a_second_time() -> None:
    # The files hold both, as those of phones do: tag 0x0112, a short, once.
    data = (FOLDER / "orientation_6.heic").read_bytes()
    assert b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06" in data
    assert b"irot" in data
    check_upright(data)


def test_a_whole_decoded_image_outlives_its_file() -> None:
    data = (FOLDER / "orientation_1.heic").read_bytes()
    photos = [np.asarray(decode_photo(bytes(data), shorter_side_px=16)) for _ in range(50)]
    assert all(np.array_equal(photo, photos[0]) for photo in photos)


def test_the_first_image_of_a_burst_is_taken() -> None:
    check_upright((FOLDER / "burst.heic").read_bytes())


def test_training_and_serving_read_the_same_pixels() -> None:
    data = (FOLDER / "orientation_1.heic").read_bytes()
    assert load_pixels(data, PreprocessingSpec(image_size_px=32)).shape == (32, 32, 3)
    assert read_header(data).format_name == "HEIC"
    assert "HEIC" in formats.ALLOWED


def test_its_full_size_counts() -> None:
    data = (FOLDER / "orientation_1.heic").read_bytes()
    with pytest.raises(ImageTooLargeError, match=r"96 x 72 .*\(max_pixels\)"):
        decode_photo(data, shorter_side_px=16, limits=DecodeLimits(max_pixels=1000))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(share: float) -> None:
    data = (FOLDER / "orientation_1.heic").read_bytes()
    with pytest.raises(UndecodableImageError):
        decode_photo(data[: int(len(data) * share)], shorter_side_px=16)


def test_without_the_wheel_one_sentence_says_what_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(formats, "_HAS_HEIC", False)
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        decode_photo((FOLDER / "burst.heic").read_bytes(), shorter_side_px=16)
    assert str(caught.value).startswith(
        "this is HEIC, which needs the package pi-heif on the host that reads it; send JPEG, PNG"
    )
