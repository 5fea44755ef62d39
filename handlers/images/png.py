"""PNGs that Pillow refuses and others show: wrong checksums, and text of megabytes beside the pixels."""

import struct
import zlib
from collections.abc import Iterator

from handlers.errors import UndecodableImageError
from handlers.images.limits import DecodeLimits

Bytes = bytes | bytearray | memoryview

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# All others say something about the image: text, time, colour profile.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_INFLATED_AT_ONCE_BYTES = 1 << 20


def repair_png(data: Bytes, limits: DecodeLimits) -> bytes | None:
    """Return the PNG with its pixel chunks alone and right checksums; None if that changes nothing.

    Only the compressed pixels have a second checksum. A header whose checksum is wrong is believed if the pixels fill
    exactly the image that it describes.

    Raises:
        UndecodableImageError: they do not.
        ImageTooLargeError: the header claims too many pixels.
    """
    repaired, compressed = [_SIGNATURE], []
    is_header_wrong = False
    header = b""
    for kind, content, crc in _chunks(bytes(data)):
        if kind not in _PIXEL_CHUNKS:
            continue
        right_crc = struct.pack(">I", zlib.crc32(kind + content))
        if kind == b"IHDR":
            header, is_header_wrong = content, crc != right_crc
        elif kind == b"IDAT":
            compressed.append(content)
        repaired.append(struct.pack(">I", len(content)) + kind + content + right_crc)
    if is_header_wrong and not _fills(header, compressed, limits):
        raise UndecodableImageError("the checksum of the PNG's header is wrong, and so is its size")
    joined = b"".join(repaired)
    return None if joined == data else joined


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield kind, content and checksum of each chunk; a truncated one ends them."""
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return
        yield kind, data[position + 8 : end], data[end : end + 4]
        position = end + 4


def _fills(header: bytes, compressed: list[bytes], limits: DecodeLimits) -> bool:
    """Return whether the pixels are as many bytes as the header says; those of interlaced images are not counted."""
    if len(header) != 13:
        return False
    width, height, bits, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    limits.check_size((width, height))
    if interlaced or colour_type not in _CHANNELS or bits > 16:
        return False
    row_bytes = 1 + (width * bits * _CHANNELS[colour_type] + 7) // 8
    size_bytes: int = row_bytes * height
    return _inflated_bytes(b"".join(compressed), most=size_bytes) == size_bytes


def _inflated_bytes(compressed: bytes, *, most: int) -> int:
    """Return how many bytes it inflates to, counted to little more than `most`; 0 if it is damaged."""
    inflater, count = zlib.decompressobj(), 0
    try:
        while not inflater.eof and count <= most:
            part = inflater.decompress(compressed, _INFLATED_AT_ONCE_BYTES)
            compressed = inflater.unconsumed_tail
            if not part and not compressed:
                break
            count += len(part)
    except zlib.error:
        return 0
    return count
