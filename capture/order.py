"""The order in which captured photos are reviewed: the one that `headswap review` computed, then the unsure first."""

import json
from collections.abc import Sequence
from pathlib import Path

from capture.answers import CapturedPhoto, read_captured
from capture.labels import LabelBook
from handlers.capture.layout import REVIEW
from storage.atomic import atomic_write


def to_review(folder: Path) -> list[CapturedPhoto]:
    """Return the captured photos without a label, most useful first.

    Those that `headswap review` suggested come first, in its order; then the unknown ones, then the others, the least
    confident first.

    Raises:
        CaptureError: the folder holds no captured photos, or its labels.csv is damaged.
    """
    labelled = LabelBook(folder).read()
    position = {sha256: index for index, sha256 in enumerate(_read_suggested(folder))}
    photos = [photo for photo in read_captured(folder) if photo.sha256 not in labelled]
    return sorted(
        photos,
        key=lambda photo: (
            position.get(photo.sha256, len(position)),
            not photo.is_unknown,
            photo.confidence,
        ),
    )


def write_suggested(folder: Path, sha256s: Sequence[str]) -> None:
    """Write what to label next, most useful first. Raises OSError."""
    atomic_write(folder / REVIEW, json.dumps({"photos": list(sha256s)}) + "\n")


def _read_suggested(folder: Path) -> list[str]:
    """Return what was suggested; nothing where the file is absent or damaged, as it can be computed again."""
    try:
        return [str(sha256) for sha256 in json.loads((folder / REVIEW).read_bytes())["photos"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
