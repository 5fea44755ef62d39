"""Large photos: a baseline JPEG costs what is decoded of it, everything else its full size."""

import io

import numpy as np
import pytest
from PIL import Image

from handlers.errors import HandlerSettingsError, ImageTooLargeError, UndecodableImageError
from handlers.images.decoding import decode_photo, read_jpeg_header
from handlers.images.limits import DecodeLimits
from tests.unit.handlers.helpers import encode

SMALL = DecodeLimits(max_pixels=10_000, max_header_pixels=100_000)
# 60,000 pixels, 3,750 of them at a quarter.
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8))


def jpeg_claiming(width: int, height: int, **options: bool) -> bytes:
    """Return a JPEG whose header claims another size."""
    data = bytearray(encode(Image.new("RGB", (16, 16)), **options))
    frame = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    data[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def with_a_scan_for_each_colour() -> bytes:
    """Return PHOTO as a baseline JPEG of three scans, which libjpeg keeps whole in memory."""
    # Scans of one colour each, as jpegtran -scans writes them: greyscale files of the three planes, put together.
    planes = [encode(plane, quality=75) for plane in PHOTO.convert("YCbCr").split()]
    head = bytearray(planes[0][: planes[0].index(b"\xff\xda")])
    frame = head.index(b"\xff\xc0")
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    head[frame + 2 : frame + 13] = b"\x00\x11" + head[frame + 4 : frame + 9] + b"\x03" + components
    scans = b""
    for number, plane in enumerate(planes, start=1):
        scan = bytearray(plane[plane.index(b"\xff\xda") : -2])
        scan[5] = number
        scans += bytes(scan)
    return bytes(head) + scans + b"\xff\xd9"


def test_a_baseline_jpeg_counts_by_what_is_decoded() -> None:
    assert decode_photo(encode(PHOTO), shorter_side_px=50, limits=SMALL).size == (75, 50)


def test_what_remains_after_scaling_may_still_be_too_large() -> None:
    expected = r"300 x 200 pixels, of which 150 x 100 .* at most 10000 .*\(max_pixels\)"
    with pytest.raises(ImageTooLargeError, match=expected):
        decode_photo(encode(PHOTO), shorter_side_px=100, limits=SMALL)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (encode(PHOTO, progressive=True), "a progressive JPEG"),
        (with_a_scan_for_each_colour(), "a JPEG with a scan for each colour"),
        (encode(PHOTO, "PNG"), "an image"),
        (encode(PHOTO, "WEBP"), "an image"),
    ],
)
def test_everything_else_counts_by_its_full_size(data: bytes, named: str) -> None:
    assert decode_photo(data, shorter_side_px=50).size[0] >= 75
    expected = rf"300 x 200 pixels; {named} may have at most 10000 \(max_pixels\)"
    with pytest.raises(ImageTooLargeError, match=expected):
        decode_photo(data, shorter_side_px=50, limits=SMALL)


def test_the_header_of_a_baseline_jpeg_has_a_limit_of_its_own() -> None:
    with pytest.raises(ImageTooLargeError, match=r"at most 100000 \(max_header_pixels\)"):
        decode_photo(jpeg_claiming(400, 300), shorter_side_px=1, limits=SMALL)
    with pytest.raises(ImageTooLargeError, match=r"at most 400000000 \(max_header_pixels\)"):
        decode_photo(jpeg_claiming(20_001, 20_000), shorter_side_px=224)


@pytest.mark.parametrize(("width", "height"), [(8192, 6144), (12_000, 9000), (16_320, 12_240)])
def test_the_photos_of_today_s_phones_are_within_the_defaults(width: int, height: int) -> None:
    # The data of such a file ends early, which is found only after its size was accepted.
    with pytest.raises(UndecodableImageError):
        decode_photo(jpeg_claiming(width, height), shorter_side_px=256)
    with pytest.raises(ImageTooLargeError, match=r"a progressive JPEG .*\(max_pixels\)"):
        decode_photo(jpeg_claiming(width, height, progressive=True), shorter_side_px=256)


def test_pillow_s_own_limit_does_not_decide() -> None:
    # Pillow refuses more than 179 million pixels of its own accord.
    image = Image.new("1", (20_000, 10_000))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    limits = DecodeLimits(max_pixels=300_000_000)
    # Not decoded, because its pixels are cut off.
    with pytest.raises(UndecodableImageError, match="truncated"):
        decode_photo(buffer.getvalue()[:-200], shorter_side_px=256, limits=limits)
    with pytest.raises(ImageTooLargeError, match=r"at most 50000000 \(max_pixels\)"):
        decode_photo(buffer.getvalue(), shorter_side_px=256)


def test_a_gpu_leaves_photos_to_pillow_that_must_be_scaled() -> None:
    assert read_jpeg_header(encode(PHOTO), limits=SMALL) is None
    assert read_jpeg_header(encode(PHOTO), limits=DecodeLimits()) is not None


@pytest.mark.parametrize("name", ["max_pixels", "max_header_pixels", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1"])
def test_limits_are_checked(name: str, value: object) -> None:
    with pytest.raises(HandlerSettingsError, match=name):
        DecodeLimits(**{name: value})
