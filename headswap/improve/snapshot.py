"""The labels that an improvement learns from, as they are when it begins: most to train on, a share to be measured on.

Which photos are measured on follows from their bytes, so that it is the same for every improvement; none is that the
live version was trained on.
"""

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from capture.labels import Label
from storage.atomic import link_or_copy

TRAIN, TEST = "train", "test"

LinkedFile = tuple[Path, Path]
"""A file, and the folder it is linked into."""


def labels_key(labels: Mapping[str, Label]) -> str:
    """Return a sha256 of which photo has which label."""
    lines = sorted(f"{key} {label.class_name!r}\n" for key, label in labels.items())
    return sha256("".join(lines).encode()).hexdigest()


def is_measured_on(photo_sha256: str, share: float) -> bool:
    """Return whether a photo belongs to the share that no improvement trains on."""
    fraction = int(sha256(f"new {photo_sha256}".encode()).hexdigest()[:12], 16) / 16**12
    return fraction < share


def divide(
    captured: Path, labels: Iterable[Label], *, share: float, trained_on: Collection[str] = ()
) -> list[LinkedFile]:
    """Return the photos of a class, each with train/CLASS or test/CLASS; those in `trained_on` are not measured on."""
    files = []
    for label in labels:
        if label.class_name is not None:
            is_measured = label.sha256 not in trained_on and is_measured_on(label.sha256, share)
            part = TEST if is_measured else TRAIN
            files.append((captured / label.path, Path(part, label.class_name)))
    return files


def count_parts(files: Sequence[LinkedFile]) -> dict[str, int]:
    """Return how many files are to be trained on and to be measured on."""
    counts = {TRAIN: 0, TEST: 0}
    for _, folder in files:
        counts[folder.parts[0]] += 1
    return counts


def link_all(files: Iterable[LinkedFile], target: Path) -> list[Path]:
    """Link each file into its folder below `target`, which appears whole or not at all; copy where links cannot be.

    Returns the links, relative to `target`. Raises OSError.
    """
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    links = []
    for number, (source, folder) in enumerate(files):
        (part / folder).mkdir(parents=True, exist_ok=True)
        # Numbered: two folders may hold files of one name, and one may be as long as a name can be.
        links.append(folder / f"{number:06}{source.suffix}")
        link_or_copy(source.resolve(), part / links[-1])
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return links
