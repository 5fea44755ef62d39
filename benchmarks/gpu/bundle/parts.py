"""Files compressed one by one and spread over parts of limited size, each with its own list of sha256 sums."""

import hashlib
import json
import lzma
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from storage import atomic_path, atomic_write

MANIFEST = "manifest.json"
PRESET = 6


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file of the bundle: where it lies here, and its path in the folder that install.sh unpacks to."""

    source: Path
    target: str


def compress(item: Item, cache: Path) -> Path:
    """Return the item's file compressed by xz; compressed once per content."""
    digest = hashlib.sha256(item.source.read_bytes()).hexdigest()
    compressed = cache / f"{digest}.xz"
    if not compressed.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with atomic_path(compressed) as temporary:
            temporary.write_bytes(lzma.compress(item.source.read_bytes(), preset=PRESET))
    return compressed


def distribute(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Return the names in as few parts as first-fit decreasing finds, none larger than `limit` bytes.

    Raises:
        BenchmarkError: one alone is larger.
    """
    parts: list[list[str]] = []
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if sizes[name] > limit:
            raise BenchmarkError(
                f"{name} has {sizes[name]} bytes, more than the {limit} that a part may have; give a larger --part-mb"
            )
        fitting = (p for p in parts if sum(map(sizes.__getitem__, p)) + sizes[name] <= limit)
        part = next(fitting, None)
        if part is None:
            parts.append([name])
        else:
            part.append(name)
    return parts


def write_parts(
    items: Sequence[Item], installer: Path, folder: Path, *, cache: Path, limit: int
) -> list[Path]:
    """Write `part-1`, `part-2` … into the folder and return them; each holds the installer and a manifest.

    Parts of an earlier bundle are deleted. Raises BenchmarkError as `distribute`.
    """
    compressed = {item.target: compress(item, cache) for item in items}
    # The installer and the manifest take some of each part.
    reserve = installer.stat().st_size + 200 * len(items) + 1000
    sizes = {target: path.stat().st_size for target, path in compressed.items()}
    for old in folder.glob("part-*"):
        shutil.rmtree(old)
    written = []
    distributed = distribute(sizes, limit - reserve)
    for number, targets in enumerate(distributed, start=1):
        part = folder / f"part-{number}"
        part.mkdir(parents=True)
        shutil.copy(installer, part / installer.name)
        entries = []
        for index, target in enumerate(sorted(targets)):
            file = f"{index:03}.xz"
            shutil.copyfile(compressed[target], part / file)
            digest = hashlib.sha256(compressed[target].read_bytes()).hexdigest()
            entries.append({"file": file, "target": target, "sha256": digest})
        manifest = {"part": number, "parts": len(distributed), "files": entries}
        atomic_write(part / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        written.append(part)
    return written


def size_of(part: Path) -> int:
    """Return the bytes of all files in the part."""
    return sum(path.stat().st_size for path in part.iterdir())
