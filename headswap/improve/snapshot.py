"""The labels that an improvement learns from, as they are when it begins: most to train on, a share to be measured on.

Which photos are measured on follows from their bytes, so that it is the same for every improvement.
"""

import shutil
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from capture.labels import Label
from storage.atomic import link_or_copy

TRAIN, TEST = "train", "test"


def labels_key(labels: Mapping[str, Label]) -> str:
    """Return a sha256 of which photo has which label."""
    lines = sorted(f"{key} {label.class_name!r}\n" for key, label in labels.items())
    return sha256("".join(lines).encode()).hexdigest()


def is_measured_on(photo_sha256: str, share: float) -> bool:
    """Return whether a photo belongs to the share that no improvement trains on."""
    fraction = int(sha256(f"new {photo_sha256}".encode()).hexdigest()[:12], 16) / 16**12
    return fraction < share


def link_labels(
    captured: Path, labels: Iterable[Label], target: Path, *, share: float
) -> dict[str, int]:
    """Link the photos of a class into target/train/CLASS or target/test/CLASS; return how many each holds.

    The folder appears whole or not at all. Raises OSError.
    """
    files = [
        (
            captured / label.path,
            Path(TEST if is_measured_on(label.sha256, share) else TRAIN, label.class_name),
        )
        for label in labels
        if label.class_name is not None
    ]
    link_all(files, target)
    counts = {TRAIN: 0, TEST: 0}
    for _, folder in files:
        counts[folder.parts[0]] += 1
    return counts


def link_all(files: Iterable[tuple[Path, Path]], target: Path) -> None:
    """Link each file into its folder below `target`, which appears whole or not at all; copy where links cannot be.

    Raises OSError.
    """
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for number, (source, folder) in enumerate(files):
        place = part / folder
        place.mkdir(parents=True, exist_ok=True)
        # Numbered: two folders may hold files of one name.
        link_or_copy(source.resolve(), place / f"{number:06}-{source.name}")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
