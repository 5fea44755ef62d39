"""Groups of photos: those of one product, patient, video or burst, of which a split must hold all or none.

`--group-by` is `folder` (the topmost folder inside the class folder), `exif-burst` (one camera, each photo taken within
5 s of the one before) or a regular expression that is searched in the path inside the data folder: its groups, or all
that it matches, name the group. A photo in no group is a group of its own.
"""

import datetime
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from training.data.splitting import SPLITS, TEST_SHARE, VAL_SHARE, Split, hash_fraction
from training.group_by import EXIF_BURST, FOLDER

# A phone's burst takes several photos a second; turning to the next thing takes longer.
BURST_GAP_S = 5
# Followed by the header of a TIFF, which the name of the box alone is not.
HEIC_EXIF = re.compile(rb"Exif\0\0(?=II\*\0|MM\0\*)")

Camera = tuple[str, str, str]


def find_groups(
    group_by: str, paths: Sequence[Path], *, folder: Path, subfolders: Sequence[str]
) -> list[str | None]:
    """Return each photo's group, None where it is in none; `subfolders` are the topmost ones in the class folders."""
    if group_by == EXIF_BURST:
        return burst_groups(paths)
    if group_by == FOLDER:
        return [subfolder or None for subfolder in subfolders]
    return [regex_group(group_by, Path(os.path.relpath(path, folder)).as_posix()) for path in paths]


def regex_group(pattern: str, path: str) -> str | None:
    """Return the group that a regular expression finds in a path: its own groups, or else all it matches."""
    match = re.search(pattern, path)
    if match is None:
        return None
    named = [part for part in match.groups() if part is not None]
    return ("/".join(named) if match.re.groups else match.group()) or None


def burst_groups(paths: Sequence[Path]) -> list[str | None]:
    """Return for each photo its burst, named by the camera and the time of its first photo; None without a time."""
    with ThreadPoolExecutor() as pool:
        taken = list(pool.map(_taken, paths))
    by_camera: dict[Camera, list[tuple[datetime.datetime, int]]] = defaultdict(list)
    for index, entry in enumerate(taken):
        if entry is not None:
            camera, time = entry
            by_camera[camera].append((time, index))
    groups: list[str | None] = [None] * len(paths)
    for camera, times in by_camera.items():
        first = last = datetime.datetime.min
        for time, index in sorted(times):
            if (time - last).total_seconds() > BURST_GAP_S:
                first = time
            last = time
            groups[index] = " ".join([*filter(None, camera), first.isoformat()])
    return groups


def _taken(path: Path) -> tuple[Camera, datetime.datetime] | None:
    """Return the camera and the time of a photo, if its EXIF data has a time."""
    try:
        exif = _read_exif(path)
        details = exif.get_ifd(ExifTags.IFD.Exif)
        text = details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
        time = datetime.datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        tags = (
            exif.get(ExifTags.Base.Make),
            exif.get(ExifTags.Base.Model),
            details.get(ExifTags.Base.BodySerialNumber),
        )
        make, model, serial = (str(tag or "").strip("\0 ") for tag in tags)
        return (make, model, serial), time
    except Exception:
        # Pillow has no error of its own for damaged EXIF data: struct, zlib, TypeError and others come out of it.
        return None


def _read_exif(path: Path) -> Image.Exif:
    try:
        with Image.open(path) as image:
            exif = image.getexif()
            # Read now, while the file is open.
            exif.get_ifd(ExifTags.IFD.Exif)
            return exif
    except UnidentifiedImageError:
        # HEIC: its decoder leaves the metadata alone, but a phone writes EXIF data into it as they are in a JPEG.
        start = HEIC_EXIF.search(data := path.read_bytes())
        exif = Image.Exif()
        if start is not None:
            exif.load(data[start.start() :])
        return exif


def split_groups(
    members: Mapping[str, Collection[int]], *, missing: Collection[Split], seed: int
) -> dict[str, Split]:
    """Return the split of each group, given the labels in it; `missing` are the splits without a folder.

    As for single photos (splitting.py), the hash of the group's name decides. Groups are few, so that chance alone
    would often leave a split with a third of its share: where it has less than two thirds or more than four thirds,
    those whose hashes are nearest are moved. Where a label has no group in a split, the nearest one is moved there, if
    its labels keep another group where it was.
    """
    fractions = {group: hash_fraction(group, seed=seed) for group in members}
    ordered = sorted(members, key=lambda group: (fractions[group], group))
    test_count = _count(sum(f < TEST_SHARE for f in fractions.values()), len(ordered), TEST_SHARE)
    val_count = _count(sum(f >= 1 - VAL_SHARE for f in fractions.values()), len(ordered), VAL_SHARE)
    train_end = len(ordered) - val_count if "val" in missing else len(ordered)
    train_start = test_count if "test" in missing else 0
    splits: dict[str, Split] = {
        group: "test" if rank < train_start else "train" if rank < train_end else "val"
        for rank, group in enumerate(ordered)
    }
    counts = Counter((label, splits[group]) for group in ordered for label in members[group])
    labels = sorted({label for held in members.values() for label in held})
    for split in SPLITS:
        if split != "train" and split not in missing:
            continue
        for label in labels:
            if counts[label, split]:
                continue
            movable = [
                group
                for group in ordered
                if label in members[group]
                and all(counts[other, splits[group]] > 1 for other in members[group])
            ]
            if not movable:
                continue
            moved = min(movable, key=lambda group: _distance(fractions[group], split))
            counts.subtract((other, splits[moved]) for other in members[moved])
            splits[moved] = split
            counts.update((other, split) for other in members[moved])
    return splits


def _count(by_hash: int, total: int, share: float) -> int:
    """Return how many of all groups a split gets: as many as their hashes say, within a third of its share."""
    low, high = math.floor(total * share * 2 / 3), math.ceil(total * share * 4 / 3)
    return min(max(by_hash, low), high)


def _distance(fraction: float, split: Split) -> float:
    low, high = {"test": (0, TEST_SHARE), "val": (1 - VAL_SHARE, 1)}.get(
        split, (TEST_SHARE, 1 - VAL_SHARE)
    )
    return max(low - fraction, fraction - high, 0)
