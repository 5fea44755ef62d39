"""Broken files by the thousand: pixels or an error of ours, and the neighbours unharmed."""

import json
import os
import random
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from handlers.errors import PhotoError
from handlers.images import decoding
from handlers.images.decoding import DecodeLimits, decode_photo
from tests.unit.handlers.helpers import HTTP, encode

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")

LIMITS = DecodeLimits(max_pixels=1_000_000)
# As many as 0.7 s allow, or as many as are asked for: `make test-mutations` asks for 10,000.
MUTATIONS_ASKED = int(os.environ.get("HEADSWAP_MUTATIONS", "0"))
SECONDS_PER_FORMAT = 0.7


def picture() -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


SOUND = {
    "jpeg": encode(picture()),
    "jpeg progressive": encode(picture(), progressive=True),
    "jpeg exif": encode(picture(), exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"),
    "jpeg cmyk": encode(picture().convert("CMYK")),
    "png": encode(picture(), "PNG"),
    "png palette": encode(picture().quantize(16), "PNG"),
    "webp": encode(picture(), "WEBP"),
    "gif": encode(picture(), "GIF"),
    "bmp": encode(picture(), "BMP"),
    "tiff": encode(picture(), "TIFF"),
    "tiff lzw": encode(picture(), "TIFF", compression="tiff_lzw"),
    "tiff jpeg": encode(picture(), "TIFF", compression="jpeg"),
    "avif": encode(picture(), "AVIF"),
}


CODES = {"pixels", "empty_body", "undecodable_image", "image_too_large", "unsupported_media_type"}


def try_decode(data: bytes) -> str:
    """Return the outcome's name; anything but pixels or a PhotoError is a bug and raises."""
    try:
        image = decode_photo(data, shorter_side_px=16, limits=LIMITS)
    except PhotoError as error:
        is_well_told = 400 <= error.status < 500 and "\n" not in str(error)
        return error.code if is_well_told else f"badly told: {error}"
    assert image.mode == "RGB"
    return "pixels"


def mutate(data: bytes, chance: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        place = chance.randrange(len(broken))
        kind = chance.randrange(6)
        if kind == 0:
            broken[place] = chance.randrange(256)
        elif kind == 1:
            broken[place] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del broken[place : place + chance.randrange(1, 64)]
        elif kind == 3:
            broken[place:place] = chance.randbytes(chance.randrange(1, 64))
        elif kind == 4:
            # Lengths and dimensions that lie.
            broken[place : place + 4] = chance.choice(
                [b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff"]
            )
        else:
            other = SOUND[chance.choice(sorted(SOUND))]
            broken[place:] = other[chance.randrange(len(other)) :]
        if not broken:
            break
    return bytes(broken)


@pytest.mark.parametrize("name", SOUND)
def test_random_mutations(name: str) -> None:
    chance = random.Random(name)
    deadline = time.monotonic() + SECONDS_PER_FORMAT
    tried = 0
    while tried < (MUTATIONS_ASKED or 10_000):
        assert try_decode(mutate(SOUND[name], chance)) in CODES
        tried += 1
        if not MUTATIONS_ASKED and time.monotonic() > deadline:
            break
    assert tried > 50


@pytest.mark.parametrize("name", SOUND)
def test_truncation_at_every_marker(name: str) -> None:
    data = SOUND[name]
    marks = {index for index, byte in enumerate(data) if byte in (0xFF, 0x00)}
    places = sorted(random.Random(0).sample(sorted(marks), min(80, len(marks))))
    assert {try_decode(data[:place]) for place in places} <= CODES


@pytest.mark.skipif(decoding.simplejpeg is None, reason="Pillow alone does not tell")
@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9, 0.97])
def test_an_end_marker_in_mid_picture_does_not_make_it_whole(share: float) -> None:
    data = encode(picture().resize((320, 240)))
    assert try_decode(data[: int(len(data) * share)] + b"\xff\xd9") == "undecodable_image"


@pytest.mark.parametrize("name", SOUND)
def test_sound_files_are_sound(name: str) -> None:
    assert try_decode(SOUND[name]) == "pixels"


@pytest.mark.parametrize("first", SOUND)
def test_polyglots_are_what_they_start_as(first: str) -> None:
    for second in SOUND.values():
        assert try_decode(SOUND[first] + second) in ("pixels", "undecodable_image")


@given(st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    assert try_decode(data) != "pixels"


@settings(max_examples=60)
@given(st.sampled_from(sorted(SOUND)), st.binary(max_size=200))
def test_a_right_start_and_anything_after(name: str, rest: bytes) -> None:
    assert try_decode(SOUND[name][:16] + rest) in CODES


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 31), st.integers(0, 10_000), st.sampled_from(sorted(SOUND)))
def test_one_bad_of_thirty_two_leaves_the_others_as_they_are(
    worker, photos, place: int, seed: int, name: str
) -> None:
    good = [list(photos.values())[index % 3] for index in range(32)]
    before = worker.answer([{"body": bytearray(data)} for data in good])
    bad = mutate(SOUND[name], random.Random(seed))
    items = [
        {"body": bytearray(bad if index == place else data)} for index, data in enumerate(good)
    ]
    after = worker.answer(items, [HTTP] * 32)
    for index in range(32):
        if index != place:
            assert after[index] == before[index]
    assert after[place][0] in (200, 400, 413, 415)
    json.loads(after[place][2])
