"""The photos of the capture folder on the disk: each once, the oldest gone beyond the limits, however many write."""

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from handlers.capture.layout import ANSWERS, PHOTOS, USAGE, locked
from handlers.capture.settings import CaptureSettings

# Beyond the limit, the oldest go until this share of it is left: each removal reads the whole folder.
KEPT_OF_LIMIT = 0.95
DAY_S = 86_400
# Of a file that a killed worker left half written.
STALE_PART_S = 3600
PART = ".part"


class PhotoTooLargeError(OSError):
    """The photo alone is larger than the limit of the folder."""


class CaptureFolder:
    def __init__(self, settings: CaptureSettings) -> None:
        """Create what is missing, and remove what is too old. Raises OSError."""
        self._settings = settings
        self._folder = Path(settings.folder)
        self._photos = self._folder / PHOTOS
        self._photos.mkdir(parents=True, exist_ok=True)
        self.remove_old()

    def add(self, photo: bytes, suffix: str, answer: Mapping[str, Any]) -> bool:
        """Keep a photo with its answer; return False, and keep neither, if the photo is there already.

        Raises OSError, and the folder is as it was.
        """
        if len(photo) > self._settings.max_bytes * KEPT_OF_LIMIT:
            raise PhotoTooLargeError(f"the photo has {len(photo)} bytes")
        name = f"{sha256(photo).hexdigest()}.{suffix}"
        path = self._photos / name
        if path.exists():
            return False
        part = self._photos / f".{name}.{os.getpid()}{PART}"
        try:
            part.write_bytes(photo)
            with locked(self._folder):
                if path.exists():
                    return False
                self._append({"photo": name, **answer})
                part.rename(path)
                self._write_usage(self._read_usage() + len(photo))
        finally:
            part.unlink(missing_ok=True)
        if self._read_usage() > self._settings.max_bytes:
            self.remove_old()
        return True

    def remove_old(self) -> None:
        """Remove the photos beyond the limits of age and size, and their lines in answers.jsonl. Raises OSError."""
        with locked(self._folder):
            kept = sorted(self._list(), key=lambda photo: photo.stat.st_mtime_ns, reverse=True)
            oldest_s = time.time() - self._settings.keep_days * DAY_S
            total = sum(photo.stat.st_size for photo in kept)
            is_beyond = total > self._settings.max_bytes
            limit = self._settings.max_bytes * (KEPT_OF_LIMIT if is_beyond else 1)
            is_removed = False
            while kept and (total > limit or kept[-1].stat.st_mtime < oldest_s):
                photo = kept.pop()
                photo.path.unlink(missing_ok=True)
                total -= photo.stat.st_size
                is_removed = True
            if is_removed:
                self._compact({photo.path.name for photo in kept})
            self._write_usage(total)

    def _list(self) -> Iterator["_Photo"]:
        with os.scandir(self._photos) as entries:
            for entry in entries:
                path = Path(entry.path)
                stat = entry.stat()
                if not entry.name.endswith(PART):
                    yield _Photo(path, stat)
                elif time.time() - stat.st_mtime > STALE_PART_S:
                    path.unlink(missing_ok=True)

    def _append(self, answer: Mapping[str, Any]) -> None:
        line = json.dumps(answer, ensure_ascii=False).encode(errors="replace") + b"\n"
        with (self._folder / ANSWERS).open("ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                # Without this, the next line would continue the half of this one.
                file.truncate(end)
                raise

    def _compact(self, names: set[str]) -> None:
        path = self._folder / ANSWERS
        if not path.exists():
            return
        part = path.with_name(f".{ANSWERS}{PART}")
        with path.open("rb") as lines, part.open("wb") as file:
            file.writelines(line for line in lines if _photo_of(line) in names)
        part.replace(path)

    def _read_usage(self) -> int:
        try:
            return int((self._folder / USAGE).read_text())
        except (OSError, ValueError):
            # Counted anew where a worker was killed before it had written it.
            return sum(photo.stat.st_size for photo in self._list())

    def _write_usage(self, size_bytes: int) -> None:
        part = self._folder / f"{USAGE}{PART}"
        part.write_text(str(size_bytes))
        part.replace(self._folder / USAGE)


class _Photo(NamedTuple):
    path: Path
    stat: os.stat_result


def _photo_of(line: bytes) -> str:
    try:
        return str(json.loads(line)["photo"])
    except (ValueError, KeyError, TypeError):
        return ""
