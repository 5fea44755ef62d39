"""Broken files by the thousand: each gives pixels or a PhotoError, and the rest of the batch is unaffected."""

import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from handlers.errors import PhotoError
from handlers.images import jpeg
from handlers.images.decoding import decode_photo
from handlers.images.limits import DecodeLimits
from tests.unit.handlers.helpers import HTTP, encode

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")

HEIC = Path(__file__).parent / "heic" / "orientation_6.heic"
LIMITS = DecodeLimits(max_pixels=1_000_000)
# As many as fit into 0.7 s, or this many: `make test-mutations` sets 10,000.
MUTATIONS = int(os.environ.get("HEADSWAP_MUTATIONS", "0"))
SECONDS_PER_FORMAT = 0.7


def noise() -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


VALID = {
    "jpeg": encode(noise()),
    "jpeg progressive": encode(noise(), progressive=True),
    "jpeg exif": encode(noise(), exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"),
    "jpeg cmyk": encode(noise().convert("CMYK")),
    "png": encode(noise(), "PNG"),
    "png palette": encode(noise().quantize(16), "PNG"),
    "webp": encode(noise(), "WEBP"),
    "gif": encode(noise(), "GIF"),
    "bmp": encode(noise(), "BMP"),
    "tiff": encode(noise(), "TIFF"),
    "tiff lzw": encode(noise(), "TIFF", compression="tiff_lzw"),
    "tiff jpeg": encode(noise(), "TIFF", compression="jpeg"),
    "avif": encode(noise(), "AVIF"),
    "heic": HEIC.read_bytes(),
}


CODES = {"pixels", "empty_body", "undecodable_image", "image_too_large", "unsupported_media_type"}


def try_decode(data: bytes) -> str:
    """Return `pixels` or the code of the PhotoError; anything else is a bug and raises."""
    try:
        image = decode_photo(data, shorter_side_px=16, limits=LIMITS)
    except PhotoError as error:
        is_clean = "\n" not in str(error) and " at 0x" not in str(error)
        is_valid = 400 <= error.status < 500 and is_clean
        return error.code if is_valid else f"an invalid error: {error}"
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
            # Wrong lengths and dimensions.
            broken[place : place + 4] = chance.choice(
                [b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff"]
            )
        else:
            other = VALID[chance.choice(sorted(VALID))]
            broken[place:] = other[chance.randrange(len(other)) :]
        if not broken:
            break
    return bytes(broken)


@pytest.mark.parametrize("name", VALID)
def test_random_mutations(name: str) -> None:
    chance = random.Random(name)
    deadline = time.monotonic() + SECONDS_PER_FORMAT
    count = 0
    while count < (MUTATIONS or 10_000):
        assert try_decode(mutate(VALID[name], chance)) in CODES
        count += 1
        if not MUTATIONS and time.monotonic() > deadline:
            break
    assert count > 50


@pytest.mark.parametrize("name", VALID)
def test_truncation_at_every_marker(name: str) -> None:
    data = VALID[name]
    marks = {index for index, byte in enumerate(data) if byte in (0xFF, 0x00)}
    places = sorted(random.Random(0).sample(sorted(marks), min(80, len(marks))))
    assert {try_decode(data[:place]) for place in places} <= CODES


@pytest.mark.skipif(jpeg.simplejpeg is None, reason="Pillow alone does not report it")
@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9, 0.97])
def test_an_end_marker_in_mid_image_does_not_make_it_complete(share: float) -> None:
    data = encode(noise().resize((320, 240)))
    assert try_decode(data[: int(len(data) * share)] + b"\xff\xd9") == "undecodable_image"


@pytest.mark.parametrize("name", VALID)
def test_valid_files_are_decoded(name: str) -> None:
    assert try_decode(VALID[name]) == "pixels"


@pytest.mark.parametrize("first", VALID)
def test_a_file_with_another_behind_it_is_decoded_as_what_it_starts_with(first: str) -> None:
    for second in VALID.values():
        assert try_decode(VALID[first] + second) in ("pixels", "undecodable_image")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    assert try_decode(data) != "pixels"


@settings(max_examples=60)
@given(st.sampled_from(sorted(VALID)), st.binary(max_size=200))
def test_a_valid_start_with_anything_after_it(name: str, rest: bytes) -> None:
    assert try_decode(VALID[name][:16] + rest) in CODES


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 31), st.integers(0, 10_000), st.sampled_from(sorted(VALID)))
def test_a_broken_file_does_not_change_the_results_of_the_other_31(
    worker, photos, position: int, seed: int, name: str
) -> None:
    good = [list(photos.values())[index % 3] for index in range(32)]
    before = worker.respond([{"body": bytearray(data)} for data in good])
    bad = mutate(VALID[name], random.Random(seed))
    items = [
        {"body": bytearray(bad if index == position else data)} for index, data in enumerate(good)
    ]
    after = worker.respond(items, [HTTP] * 32)
    for index in range(32):
        if index != position:
            assert after[index] == before[index]
    assert after[position][0] in (200, 400, 413, 415)
    json.loads(after[position][2])
