"""A photo's bytes without its metadata: no place, camera, owner, comment or hidden second image.

JPEG, PNG and WebP lose nothing of their pixels: what describes the pixels stays (colour profile, Adobe's colour
transform), and of EXIF a new one that says the orientation alone. A photo of another format is decoded and becomes a
PNG, as the network has seen it.
"""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from handlers.errors import PhotoError
from handlers.images import formats
from handlers.images.colour import GreyRange
from handlers.images.decoding import decode_photo
from handlers.images.magic import HEAD_BYTES, photo_format

SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}

_ORIENTATION = 0x0112
# Markers of JPEG that describe how to decode: JFIF, colour profile, Adobe's transform. All other APPn and comments go.
_APP0, _APP2, _APP14, _APP15, _COMMENT = 0xE0, 0xE2, 0xEE, 0xEF, 0xFE
_KEPT_APPS = {_APP0: b"JFIF\0", _APP2: b"ICC_PROFILE\0", _APP14: b"Adobe"}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_RESTARTS = range(0xD0, 0xD8)
_PNG_HEAD_BYTES = 8
# Chunks of PNG that change a pixel, or how it is shown.
_PNG_KEPT = {
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs",
}  # fmt: skip
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
# Of the flags of VP8X.
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


class _MalformedError(Exception):
    """A file whose structure is damaged; its pixels may still decode."""


def strip_metadata(data: bytes, *, grey_range: GreyRange = "full") -> tuple[bytes, str]:
    """Return the photo without metadata, and the suffix of its file; `grey_range` is for what becomes a PNG.

    Raises:
        PhotoError: it cannot be decoded, so that nobody could label it.
    """
    name = photo_format(data[:HEAD_BYTES]) or ""
    try:
        if name == "JPEG":
            return b"".join(_strip_jpeg(data)), SUFFIXES[name]
        if name == "PNG":
            return b"".join(_strip_png(data)), SUFFIXES[name]
        if name == "WEBP":
            return _strip_webp(data), SUFFIXES[name]
    except (_MalformedError, struct.error, IndexError):
        pass
    return _as_png(data, grey_range), SUFFIXES["PNG"]


def suffix_of(data: bytes) -> str:
    """Return the suffix for the photo as it was sent."""
    name = photo_format(data[:HEAD_BYTES]) or "photo"
    return SUFFIXES.get(name, name.lower())


def _as_png(data: bytes, grey_range: GreyRange) -> bytes:
    # Larger than any side: the photo is not scaled while it is decoded.
    photo = decode_photo(data, shorter_side_px=1 << 30, grey_range=grey_range)
    file = io.BytesIO()
    photo.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _strip_jpeg(data: bytes) -> Iterator[bytes]:
    """Yield the parts; those of a second image behind the first, such as a depth map or a video, are left out."""
    segments = list(_jpeg_segments(data))
    yield data[:2]
    kept = [(marker, part) for marker, part in segments if _is_kept(marker, part)]
    # JFIF has to be the first segment, and EXIF comes right behind it.
    heads = [part for marker, part in kept if marker == _APP0][:1]
    yield from heads
    yield _orientation_segment(_read_orientation(data))
    yield from (part for marker, part in kept if marker != _APP0)


def _is_kept(marker: int, part: bytes) -> bool:
    if marker in _KEPT_APPS:
        return part[4:].startswith(_KEPT_APPS[marker])
    return not (_APP0 <= marker <= _APP15 or marker == _COMMENT)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, bytes) of each segment up to the end of the image; that of a scan holds its entropy-coded data."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise _MalformedError
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == _END_OF_IMAGE:
            yield marker, data[position : position + 2]
            return
        if marker == 0x00 or marker in _RESTARTS:
            raise _MalformedError
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if length < 2 or end > len(data):
            raise _MalformedError
        if marker == _START_OF_SCAN:
            end = _end_of_scan(data, end)
        yield marker, data[position:end]
        position = end


def _end_of_scan(data: bytes, position: int) -> int:
    """Return where the entropy-coded data ends: at the first marker that is neither stuffing nor a restart."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            raise _MalformedError
        following = data[position + 1]
        if following == 0x00 or following in _RESTARTS:
            position += 2
        elif following == 0xFF:
            position += 1
        else:
            return position


def _strip_png(data: bytes) -> Iterator[bytes]:
    yield data[:_PNG_HEAD_BYTES]
    orientation = _read_orientation(data)
    position = _PNG_HEAD_BYTES
    while True:
        (length,) = struct.unpack_from(">I", data, position)
        name, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            raise _MalformedError
        if name in _PNG_KEPT:
            yield data[position:end]
        if name == b"IHDR" and orientation != 1:
            yield _png_chunk(b"eXIf", _orientation_exif(orientation))
        if name == b"IEND":
            return
        position = end


def _png_chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def _strip_webp(data: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", data, 4)
    end, position = min(8 + size, len(data)), 12
    orientation = _read_orientation(data)
    chunks: list[bytes] = []
    while position + 8 <= end:
        name = data[position : position + 4]
        (length,) = struct.unpack_from("<I", data, position + 4)
        following = position + 8 + length + length % 2
        if position + 8 + length > end:
            raise _MalformedError
        if name in _WEBP_KEPT:
            chunk = bytearray(data[position:following])
            if name == b"VP8X":
                flags = chunk[8] & ~(_WEBP_EXIF | _WEBP_XMP)
                chunk[8] = flags | (_WEBP_EXIF if orientation != 1 else 0)
            chunks.append(bytes(chunk))
        position = following
    if orientation != 1:
        exif = _orientation_exif(orientation)
        chunks.append(b"EXIF" + struct.pack("<I", len(exif)) + exif)
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _read_orientation(data: bytes) -> int:
    """Return the orientation as decoding reads it, 1 to 8; 1 where there is none."""
    try:
        name = formats.detect_format(data)
        value = formats.open_image(data, name).getexif().get(_ORIENTATION, 1)
    except PhotoError:
        raise
    # Pillow raises nearly anything for a broken file.
    except Exception as error:
        raise _MalformedError from error
    return value if isinstance(value, int) and 2 <= value <= 8 else 1


def _orientation_segment(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    content = b"Exif\0\0" + _orientation_exif(orientation)
    return b"\xff\xe1" + struct.pack(">H", 2 + len(content)) + content


def _orientation_exif(orientation: int) -> bytes:
    """Return EXIF data, in TIFF's form, with one entry. Its length is even, as WebP needs it."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    return content + b"\0" * (len(content) % 2)
