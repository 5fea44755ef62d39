"""Every supported format gives the same upright RGB pixels; everything else a PhotoError."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from handlers.errors import (
    EmptyBodyError,
    HandlerSettingsError,
    ImageTooLargeError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
)
from handlers.images import formats, jpeg
from handlers.images.decoding import decode_photo
from handlers.images.limits import DecodeLimits
from tests.unit.handlers.helpers import encode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def gradient(width: int, height: int) -> Image.Image:
    x = np.linspace(0, 255, width, dtype=np.uint8)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1))


def decode(data: bytes, shorter_side_px: int = 1000, **limits: int) -> np.ndarray:
    limit = DecodeLimits(**limits)
    return np.asarray(decode_photo(data, shorter_side_px=shorter_side_px, limits=limit))


LOSSLESS = {
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
}


@pytest.mark.parametrize("case", LOSSLESS)
def test_a_lossless_file_is_decoded_exactly(case: str) -> None:
    format_name, options = LOSSLESS[case]
    image = gradient(33, 21)
    assert np.array_equal(decode(encode(image, format_name, **options)), np.asarray(image))


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("JPEG", {"quality": 95, "subsampling": 2}),
        ("WEBP", {"quality": 95}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_a_lossy_file_is_decoded_nearly_exactly(format_name: str, options: dict) -> None:
    image = gradient(64, 48)
    decoded = decode(encode(image, format_name, **options)).astype(int)
    assert np.abs(decoded - np.asarray(image)).mean() < 6


def test_grey_and_black_and_white_become_three_equal_channels() -> None:
    grey = gradient(20, 10).convert("L")
    for data in (encode(grey, "PNG"), encode(grey.convert("1"), "PNG"), encode(grey, "JPEG")):
        pixels = decode(data)
        assert pixels.shape == (10, 20, 3)
        assert np.array_equal(pixels[..., 0], pixels[..., 1])


def test_sixteen_bit_grey_keeps_its_higher_byte() -> None:
    values = np.array([[0x0000, 0x12FF], [0x8000, 0xFFFF]], dtype=np.uint16)
    for format_name in ("PNG", "TIFF"):
        pixels = decode(encode(Image.fromarray(values), format_name))
        assert pixels[..., 0].tolist() == [[0x00, 0x12], [0x80, 0xFF]]


def test_cmyk_with_adobe_marker_is_not_inverted() -> None:
    data = encode(Image.new("RGB", (16, 16), (250, 10, 10)).convert("CMYK"), "JPEG", quality=95)
    red, green, blue = decode(data)[8, 8].astype(int)
    assert b"Adobe" in data
    assert red > 200 > 60 > green
    assert blue < 60


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 2, 4))
    data = encode(image.convert(mode), "PNG", **({"transparency": 1} if mode == "P" else {}))
    if mode == "P":
        palette = Image.new("P", (4, 4), 1)
        palette.putpalette([0, 0, 0, 9, 9, 9])
        palette.paste(0, (0, 0, 2, 4))
        data = encode(palette, "PNG", transparency=1)
    pixels = decode(data)
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[0, 3].tolist() == [255, 255, 255]


def test_grey_png_with_a_transparent_colour() -> None:
    image = Image.new("L", (2, 1), 7)
    image.putpixel((1, 0), 9)
    pixels = decode(encode(image, "PNG", transparency=9))
    assert pixels[0].tolist() == [[7, 7, 7], [255, 255, 255]]


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_several_is_taken(format_name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if format_name == "WEBP" else {}
    data = encode(frames[0], format_name, save_all=True, append_images=frames[1:], **options)
    assert decode(data)[4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(format_name: str, orientation: int) -> None:
    upright = gradient(24, 16)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpose that stores the image so
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format_name == "WEBP" else {}
    if format_name == "JPEG":
        options = {"quality": 100, "subsampling": 0}
    pixels = decode(encode(stored, format_name, exif=exif, **options))
    assert pixels.shape == (16, 24, 3)
    assert np.abs(pixels.astype(int) - np.asarray(upright)).max() <= 6


def test_broken_exif_data_is_ignored() -> None:
    image = gradient(8, 8)
    data = encode(image, "JPEG", exif=b"Exif\x00\x00" + b"\xff" * 40)
    assert decode(data).shape == (8, 8, 3)


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (37, 211), (9, 8), (8, 1), (301, 5)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "L"}, {"mode": "CMYK"}])
def test_simplejpeg_gives_the_same_bytes_as_pillow(size, subsampling, options, monkeypatch) -> None:
    assert jpeg.simplejpeg is not None
    options = dict(options)
    image = gradient(*size).convert(options.pop("mode", "RGB"))
    data = encode(image, "JPEG", quality=80, subsampling=subsampling, **options)
    for shorter_side_px in (1, 3, 7, 16, 1000):
        fast = decode(data, shorter_side_px)
        with monkeypatch.context() as patch:
            patch.setattr(jpeg, "simplejpeg", None)
            assert np.array_equal(fast, decode(data, shorter_side_px))


def test_a_large_jpeg_is_scaled_while_decoded_but_never_below_the_given_size() -> None:
    data = encode(gradient(800, 600))
    assert decode(data, shorter_side_px=75).shape == (75, 100, 3)
    assert decode(data, shorter_side_px=76).shape == (150, 200, 3)
    assert decode(data, shorter_side_px=601).shape == (600, 800, 3)


def test_all_types_of_bytes_are_accepted() -> None:
    data = encode(gradient(8, 8))
    pixels = [decode(kind(data)) for kind in (bytes, bytearray, memoryview)]
    assert np.array_equal(pixels[0], pixels[1])
    assert np.array_equal(pixels[0], pixels[2])


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(EmptyBodyError):
        decode(b"")


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(ImageTooLargeError, match="at most 10 are allowed"):
        decode(encode(gradient(8, 8)), max_bytes=10)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\x00" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(50_001, 1000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLargeError):
        decode(png_claiming(*size))


def test_a_header_that_claims_more_pixels_than_the_file_holds_is_refused() -> None:
    with pytest.raises(UndecodableImageError):
        decode(png_claiming(4000, 4000))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_an_error_not_half_a_photo(format_name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format_name)
    with pytest.raises(UndecodableImageError):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"PK\x03\x04rest of an archive", "zip"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomiso2", "video"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "AVI video"),
        (b"\xef\xbb\xbf\n <!doctype HTML><p>404", "HTML"),
        (b'{"message": "rate limit"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (bytes(128) + b"DICM" + bytes(9), "DICOM"),
    ],
)
def test_other_formats_are_refused_by_name(data: bytes, named: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match=named):
        decode(data)


def test_a_jpeg_with_a_thousand_scans_is_refused_at_once() -> None:
    data = encode(gradient(64, 64), progressive=True)
    scans = data.index(b"\xff\xda")
    with pytest.raises(UndecodableImageError, match="scans"):
        decode(data[:scans] + data[scans:-2] * 1000 + b"\xff\xd9")


def test_running_out_of_memory_means_that_the_image_is_too_large(monkeypatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(formats, "open_image", no_memory)
    with pytest.raises(ImageTooLargeError):
        decode(encode(gradient(8, 8)))


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1"])
def test_limits_are_checked(value: object) -> None:
    with pytest.raises(HandlerSettingsError, match="max_pixels"):
        DecodeLimits(max_pixels=value)


def test_the_message_quotes_the_decoder() -> None:
    buffer = io.BytesIO()
    gradient(64, 64).save(buffer, "JPEG")
    with pytest.raises(UndecodableImageError, match=r": image file is truncated\.$"):
        decode(buffer.getvalue()[:-200])


def test_the_insides_of_the_decoder_are_put_into_words() -> None:
    with pytest.raises(UndecodableImageError, match=r"JPEG but .*: its header is damaged\.$"):
        decode(b"\xff\xd8\xff\xd9")
    with pytest.raises(
        UndecodableImageError, match=r"WEBP but .*: it is damaged, or ends too early"
    ):
        decode(encode(gradient(64, 64), "WEBP")[:60])
