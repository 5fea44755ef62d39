"""Checks that a zip is consistent: every program that reads it must see the same files.

Python reads a zip by the central directory at its end, TorchServe from the front, entry after entry. A crafted file
shows them different contents, and then a check by one says nothing about what the other unpacks.
"""

import struct
import zipfile
from typing import BinaryIO

from handlers.contract import is_inside

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
LOCAL_MAGIC = b"PK\x03\x04"
IS_ENCRYPTED, HAS_DESCRIPTOR, IS_UTF8 = 0x1, 0x8, 0x800
UNIX_TYPE_SHIFT, UNIX_TYPE_MASK, UNIX_REGULAR, UNIX_DIRECTORY = 16, 0o170000, 0o100000, 0o040000


def find_fault(file: BinaryIO, packed: zipfile.ZipFile) -> str | None:
    """Return what is wrong with the zip, as the predicate of a sentence about it, or None if nothing is.

    Its members must be files or folders with relative names, no two the same, and fill the file without a gap.
    """
    members = sorted(packed.infolist(), key=lambda member: member.header_offset)
    seen: set[str] = set()
    end = 0
    for member in members:
        name = member.filename
        if not is_inside(name) or not _is_regular(member):
            return f"holds {name!r}, which leads out of the archive or is not a regular file"
        # Two names that differ in case only overwrite each other on some file systems.
        if name.casefold() in seen:
            return f"holds {name!r} twice"
        seen.add(name.casefold())
        if member.header_offset != end:
            return f"holds bytes before {name!r} that its directory does not list"
        member_end = _end_of(file, member)
        if member_end is None:
            return f"describes {name!r} differently in its directory and in front of its contents"
        end = member_end
    if end != packed.start_dir:
        return "holds bytes after its last file that its directory does not list"
    return None


def _is_regular(member: zipfile.ZipInfo) -> bool:
    kind = member.external_attr >> UNIX_TYPE_SHIFT & UNIX_TYPE_MASK
    # 0: made by a program that does not record the type.
    return kind in (0, UNIX_REGULAR) or (kind == UNIX_DIRECTORY and member.is_dir())


def _end_of(file: BinaryIO, member: zipfile.ZipInfo) -> int | None:
    """Return the offset at which the member's contents end, or None if its local header and the directory disagree."""
    file.seek(member.header_offset)
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size:
        return None
    magic, _, flags, method, _, _, _, packed_size, size, name_size, extra_size = (
        LOCAL_HEADER.unpack(header)
    )
    encoding = "utf-8" if flags & IS_UTF8 else "cp437"
    agrees = (
        magic == LOCAL_MAGIC
        and not flags & (IS_ENCRYPTED | HAS_DESCRIPTOR)
        and method == member.compress_type
        and (packed_size, size) == (member.compress_size, member.file_size)
        and file.read(name_size) == member.orig_filename.encode(encoding, errors="replace")
    )
    if not agrees:
        return None
    return int(file.tell() + extra_size + member.compress_size)
