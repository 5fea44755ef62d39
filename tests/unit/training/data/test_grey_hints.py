"""A set of 12-bit photos in files of 16 bits is pointed out before hours are spent on sixteen grey levels."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handlers.images.colour import GreyRange
from training.config import TrainConfig
from training.data.dataset import TrainingPhotos, preprocessing_of, served_pixels
from training.data.grey_hints import suggest_grey_range
from training.data.photos import Photo, PhotoSet


def photo_set(folder: Path, *, highest: list[int], format_name: str = "PNG") -> PhotoSet:
    """Return one 16-bit photo for each value that is its highest, and one JPEG."""
    photos = []
    for number, value in enumerate(highest):
        path = folder / f"{number}.png"
        values = np.linspace(0, value, 64).astype(np.uint16).reshape(8, 8)
        Image.fromarray(values).save(path, format_name)
        photos.append(path)
    Image.new("RGB", (8, 8), "red").save(folder / "colour.jpg")
    return PhotoSet(
        folder=folder,
        class_names=("a", "b"),
        photos=tuple(
            Photo(path=path, label=0, split="train", sha256=str(path))
            for path in (*photos, folder / "colour.jpg")
        ),
    )


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("highest", "level", "levels"), [(4095, 4095, 16), (3000, 4095, 16), (1023, 1023, 4)]
)
def test_unused_bits_are_pointed_out(tmp_path, format_name, highest, level, levels) -> None:
    photos = photo_set(tmp_path, highest=[highest, 900, highest // 2], format_name=format_name)
    hint = suggest_grey_range(photos)
    assert hint is not None
    assert hint.startswith(f"3 of 4 photos are 16-bit greyscale with no value above {highest} of")
    assert f"at most {levels} of 256 grey levels" in hint
    assert f"--grey-range {level}," in hint


def deep_colour_set(folder: Path, *, shift: int) -> PhotoSet:
    photos = photo_set(folder, highest=[])
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(">u2")
    path = folder / "deep.png"
    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + (row << shift).astype(">u2").tobytes() for row in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
        )
    )
    photo = Photo(path=path, label=0, split="train", sha256="deep")
    return replace(photos, photos=(*photos.photos, photo))


@pytest.mark.parametrize("grey_range", ["full", 4095])
def test_dark_colour_is_pointed_out(tmp_path: Path, grey_range: GreyRange) -> None:
    hint = suggest_grey_range(deep_colour_set(tmp_path, shift=4), grey_range=grey_range)
    assert hint is not None
    assert hint.startswith("1 of 2 photos are 16-bit colour with no value above 4095 of 65535")
    assert "at most 16 of 256 levels" in hint


def test_bright_colour_is_not(tmp_path: Path) -> None:
    assert suggest_grey_range(deep_colour_set(tmp_path, shift=8)) is None


def test_one_bright_photo_does_not_hide_the_others(tmp_path) -> None:
    assert suggest_grey_range(photo_set(tmp_path, highest=[4095, 4000, 65535])) is not None


@pytest.mark.parametrize("highest", [[65535, 60000], [30000], []])
def test_photos_that_use_their_bits_are_not(tmp_path, highest) -> None:
    assert suggest_grey_range(photo_set(tmp_path, highest=highest)) is None


@pytest.mark.parametrize("grey_range", ["minmax", 4095])
def test_nothing_is_suggested_where_a_range_was_chosen(tmp_path, grey_range) -> None:
    photos = photo_set(tmp_path, highest=[4095])
    assert suggest_grey_range(photos, grey_range=grey_range) is None


def test_training_and_serving_see_the_chosen_range(tmp_path) -> None:
    (photo, _) = photo_set(tmp_path, highest=[4095]).photos
    config = TrainConfig(data=tmp_path, image_size_px=32, grey_range=4095)
    spec = preprocessing_of(config)
    assert spec.grey_range == 4095
    ((served, _),) = served_pixels([photo], spec, batch_size=1)
    assert served.max() > 200
    loader = TrainingPhotos([photo, photo], spec, crop_area_min=0.9)
    ((trained, _),) = loader.batches(batch_size=2, seed=0, epoch=0)
    assert trained.max() > 200
