"""PNGs that other programs show: wrong checksums, and megabytes of text beside the pixels."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from handlers.errors import ImageTooLargeError, PhotoError, UndecodableImageError
from handlers.images.decoding import decode_photo, read_header
from handlers.images.limits import DecodeLimits
from tests.unit.handlers.helpers import encode

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
IMAGE = Image.fromarray(PIXELS)
SIGNATURE_BYTES = 8


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], SIGNATURE_BYTES
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        found.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


def join(parts: list[tuple[bytes, bytes]], *, wrong: bytes = b"") -> bytes:
    """Return a PNG of the chunks; the checksums of those of the kind `wrong` are."""
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts:
        crc = zlib.crc32(kind + content) ^ (1 if kind == wrong else 0)
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)
    return data


def with_text(**options: int) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 3_000_000, zip=bool(options.get("zip")))
    return encode(IMAGE, "PNG", pnginfo=info)


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(decode_photo(data, shorter_side_px=1000))


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND", b"tEXt", b"gAMA"])
def test_a_wrong_checksum_does_not_matter_if_the_pixels_are_whole(kind: bytes) -> None:
    header, *rest = chunks(encode(IMAGE, "PNG"))
    parts = [header, (b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"Comment\0text"), *rest]
    data = join(parts, wrong=kind)
    assert np.array_equal(pixels_of(data), PIXELS)
    assert read_header(data).size_px == (30, 20)


@pytest.mark.parametrize("zip_text", [0, 1])
@pytest.mark.parametrize("is_behind", [False, True])
def test_megabytes_of_text_do_not_matter(zip_text: int, is_behind: bool) -> None:
    parts = chunks(with_text(zip=zip_text))
    if is_behind:
        text = next(part for part in parts if part[0] in (b"tEXt", b"zTXt"))
        parts = [part for part in parts if part != text]
        parts.insert(-1, text)
    assert np.array_equal(pixels_of(join(parts)), PIXELS)


@pytest.mark.parametrize("width", [29, 31, 300])
def test_a_header_whose_size_and_checksum_are_wrong_is_refused(width: int) -> None:
    (kind, header), *rest = chunks(encode(IMAGE, "PNG"))
    wrong = struct.pack(">I", width) + header[4:]
    with pytest.raises(UndecodableImageError):
        pixels_of(join([(kind, wrong), *rest], wrong=b"IHDR"))


def test_a_bomb_with_a_wrong_checksum_is_too_large() -> None:
    (kind, header), *rest = chunks(encode(IMAGE, "PNG"))
    huge = struct.pack(">II", 2**31 - 1, 2**31 - 1) + header[8:]
    with pytest.raises(ImageTooLargeError, match=r"\(max_pixels\)"):
        pixels_of(join([(kind, huge), *rest], wrong=b"IHDR"))


def test_a_truncated_file_is_still_refused() -> None:
    data = with_text()
    with pytest.raises(UndecodableImageError):
        pixels_of(data[: len(data) - 500])


@given(st.binary(max_size=60), st.integers(0, 100), st.integers(0, 255))
def test_no_chunks_do_more_than_refuse(content: bytes, place: int, byte: int) -> None:
    data = bytearray(join([*chunks(encode(IMAGE, "PNG"))[:1], (b"IDAT", content)]))
    data[SIGNATURE_BYTES + place % (len(data) - SIGNATURE_BYTES)] = byte
    limits = DecodeLimits(max_pixels=1_000_000)
    message = ""
    try:
        decode_photo(bytes(data), shorter_side_px=16, limits=limits)
    except PhotoError as error:
        message = str(error)
    assert " at 0x" not in message
