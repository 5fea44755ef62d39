"""Greyscale of more than 8 bits and Lab become the 8-bit RGB that the documents state."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from handlers.errors import UndecodableImageError
from handlers.images.colour import GreyRange
from handlers.images.decoding import decode_photo, read_deep_grey
from tests.unit.handlers.helpers import encode

WHITE_IS_ZERO = 0


def decode(data: bytes, grey_range: GreyRange = "full") -> list[list[int]]:
    photo = decode_photo(data, shorter_side_px=1000, grey_range=grey_range)
    pixels = np.asarray(photo)
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    return pixels[..., 0].tolist()


def tiff(values: np.ndarray, *, photometric: int) -> bytes:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory[262] = photometric
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", tiffinfo=directory)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 255]], np.int32), [0, 128, 255]),
        (np.array([[0, 65535]], np.int32), [0, 255]),
        (np.array([[0, 2**30, 2**31 - 1]], np.int32), [0, 128, 255]),
        (np.array([[-5, 0, 255]], np.int32), [0, 0, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[0.0, 1e12]], np.float32), [0, 255]),
        (np.array([[np.nan, -np.inf, 1.0]], np.float32), [0, 0, 255]),
        (np.array([[0.0, np.inf]], np.float32), [0, 255]),
    ],
)
def test_thirty_two_bits_are_scaled_by_the_smallest_level_that_holds_them(values, expected) -> None:
    assert decode(encode(Image.fromarray(values), "TIFF"))[0] == expected


def test_unsigned_thirty_two_bits_are_not_negative() -> None:
    values = np.array([[0, 2**31, 2**32 - 1]], np.uint32)
    signed = encode(Image.fromarray(values.view(np.int32)), "TIFF")
    # Tag 339, the sample format: 2 is signed, 1 unsigned.
    tag = struct.pack("<HHI", 339, 3, 1)
    data = signed.replace(tag + b"\x02", tag + b"\x01")
    assert data != signed
    assert decode(data)[0] == [0, 128, 255]


def test_sixteen_bits_in_which_white_is_zero_are_no_negative() -> None:
    values = np.array([[0, 0x8000, 0xFFFF]], np.uint16)
    assert decode(tiff(values, photometric=WHITE_IS_ZERO))[0] == [255, 127, 0]


def test_floats_in_which_white_is_zero_are_no_negative() -> None:
    values = np.array([[0, 0.25, 1]], np.float32)
    assert decode(tiff(values, photometric=WHITE_IS_ZERO))[0] == [255, 191, 0]


@pytest.mark.parametrize(
    ("grey_range", "expected"),
    [("full", [0, 8, 15]), ("minmax", [0, 128, 255]), (4095, [0, 128, 255]), (2048, [0, 255, 255])],
)
@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_the_grey_range_says_what_is_white(format_name, grey_range, expected) -> None:
    values = np.array([[0, 2048, 4095]], np.uint16)
    assert decode(encode(Image.fromarray(values), format_name), grey_range)[0] == expected


def test_the_grey_range_leaves_eight_bits_and_colours_alone() -> None:
    for mode in ("L", "RGB"):
        data = encode(Image.new(mode, (2, 2), 77 if mode == "L" else (77, 77, 77)), "PNG")
        assert decode(data, "minmax")[0] == decode(data, 1)[0] == [77, 77]


def test_a_flat_image_is_black_and_not_an_error() -> None:
    assert decode(encode(Image.fromarray(np.full((1, 2), 9, np.uint16)), "PNG"), "minmax") == [
        [0, 0]
    ]


def test_lab_becomes_the_colours_it_was_made_of() -> None:
    rgb = Image.new("RGB", (8, 8), (200, 40, 40))
    lab = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    pixels = np.asarray(decode_photo(encode(lab, "TIFF"), shorter_side_px=8)).astype(int)
    assert np.abs(pixels - (200, 40, 40)).max() <= 3


def test_deep_grey_is_read_before_it_is_scaled() -> None:
    values = np.array([[0, 2048, 4095]], np.uint16)
    assert np.array_equal(read_deep_grey(encode(Image.fromarray(values), "PNG")), values)
    assert read_deep_grey(encode(Image.new("L", (2, 2)), "PNG")) is None


def raw_tiff(
    packed: bytes,
    *,
    width: int,
    bits: int,
    photometric: int = 1,
    sample_format: int = 1,
    order: str = "<",
) -> bytes:
    """Return a TIFF of one row, in the byte order `<` or `>`."""
    entries = [(256, 3, width), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
               (277, 3, 1), (278, 3, 1), (279, 4, len(packed)), (339, 3, sample_format)]  # fmt: skip
    mark = b"II" if order == "<" else b"MM"
    data = mark + struct.pack(order + "HI", 42, 8 + len(packed)) + packed
    data += struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        data += struct.pack(order + "HHI", tag, kind, 1)
        data += struct.pack(
            order + ("HH" if kind == 3 else "I"), *((value, 0) if kind == 3 else (value,))
        )
    return data + bytes(4)


def test_twelve_bits_that_a_tiff_packs_as_twelve_are_its_full_range() -> None:
    # 0, 2048 and 4095 as three times 12 bits, and a fourth 0.
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x00])
    assert decode(raw_tiff(packed, width=4, bits=12))[0] == [0, 128, 255, 0]


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (np.array([0, 0x8000, 0xFFFF], ">u2"), {"photometric": 0, "order": ">"}, [255, 127, 0]),
        (np.array([0, 2**31, 2**32 - 1], "<u4"), {"photometric": 0}, [255, 127, 0]),
        (
            np.array([0, 2**30, 2**31 - 1], "<i4"),
            {"photometric": 0, "sample_format": 2},
            [255, 127, 0],
        ),
        (np.array([0, 0.5, 1], "<f8"), {"sample_format": 3}, [0, 128, 255]),
        (np.array([0, 0.5, 1], "<f8"), {"photometric": 0, "sample_format": 3}, [255, 127, 0]),
    ],
)
def test_greyscale_tiffs_that_pillow_does_not_list(values, options, expected) -> None:
    data = raw_tiff(values.tobytes(), width=3, bits=8 * values.itemsize, **options)
    assert decode(data)[0] == expected


def test_colour_as_floats_is_refused_in_words() -> None:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory[339] = (3, 3, 3)
    data = encode(Image.new("RGB", (4, 4)), "TIFF", tiffinfo=directory)
    with pytest.raises(UndecodableImageError, match="save it as greyscale or RGB of 8 or 16 bits"):
        decode(data)
