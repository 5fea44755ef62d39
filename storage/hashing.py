"""The sha256 of large files, read once and remembered until the file changes.

Two levels of trust. `sha256_of` reads the file in this process; it is what a file is held to when it comes in.
`remembered_sha256` also takes what an earlier process wrote into `.sha256.json` in its folder; it is what polls use,
so that a look at an unchanged archive of 350 MB reads no more than its metadata.

A file counts as unchanged while its size, its modification time and its status change time (ctime) are the same. Every
ordinary write changes the times, and no program can set the ctime back, as it can the modification time. What stays
unseen is damage below the file system, such as a bad disk: only reading finds that. The memo is as trustworthy as its
folder: whoever can write there can replace the memo, the files and live.json alike.
"""

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any, TypedDict

from storage.atomic import atomic_write

MEMO_FILE = ".sha256.json"
CHUNK_BYTES = 1 << 20
# Times have the tick of a clock, up to 2 s on FAT: a file changed again within the tick in which it was
# read looks unchanged. git's index has the same problem and the same answer.
SETTLED_AFTER_S = 2.0
SHA256 = re.compile(r"[0-9a-f]{64}")


class Record(TypedDict):
    """What is remembered of one file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str


# Of this process, by absolute path.
_read_here: dict[str, Record] = {}


def sha256_of(path: Path, *, remember: bool = False) -> str:
    """Return the file's sha256 in hexadecimal, read by this process: once, and again after every change.

    With `remember` it is left for other processes too, which then get it from `remembered_sha256`; where the memo
    cannot be written they read the file again. Raises OSError.
    """
    key = os.path.abspath(path)
    before = path.stat()
    record = _read_here.get(key)
    if record is None or not _is_unchanged(record, before):
        record = _record(before, hash_file(path))
        if _is_unchanged(record, path.stat()) and _is_settled(before):
            _read_here[key] = record
        else:
            _read_here.pop(key, None)
            return record["sha256"]
    if remember:
        _remember(path, record)
    return record["sha256"]


def remembered_sha256(path: Path) -> str:
    """Return the file's sha256 in hexadecimal as an earlier process read it; reads the file where none did.

    What was read is remembered in `.sha256.json` in the file's folder; a damaged memo is ignored. Raises OSError.
    """
    record = _read_memo(path.parent).get(path.name)
    if record is not None and _is_unchanged(record, path.stat()):
        return record["sha256"]
    return sha256_of(path, remember=True)


def hash_file(path: Path) -> str:
    """Return the sha256 of the file's bytes in hexadecimal; always reads them all. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _record(stat: os.stat_result, digest: str) -> Record:
    return Record(
        size=stat.st_size, mtime_ns=stat.st_mtime_ns, ctime_ns=stat.st_ctime_ns, sha256=digest
    )


def _is_unchanged(record: Record, stat: os.stat_result) -> bool:
    return record == _record(stat, record["sha256"])


def _is_settled(stat: os.stat_result) -> bool:
    return time.time() - stat.st_mtime >= SETTLED_AFTER_S


def _read_memo(folder: Path) -> dict[str, Record]:
    """Return what the memo says, file by file; nothing of a memo that is absent or damaged."""
    try:
        memo = json.loads((folder / MEMO_FILE).read_bytes())
        return {name: _checked(record) for name, record in memo.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _checked(record: dict[str, Any]) -> Record:
    if not SHA256.fullmatch(record["sha256"]):
        raise ValueError("not a sha256")
    return Record(
        size=record["size"],
        mtime_ns=record["mtime_ns"],
        ctime_ns=record["ctime_ns"],
        sha256=record["sha256"],
    )


def _remember(path: Path, record: Record) -> None:
    memo = _read_memo(path.parent)
    if memo.get(path.name) == record:
        return
    others = {name: other for name, other in memo.items() if (path.parent / name).is_file()}
    try:
        atomic_write(
            path.parent / MEMO_FILE, json.dumps({**others, path.name: record}, indent=2) + "\n"
        )
    except OSError:
        # A read-only or a full store.
        return
