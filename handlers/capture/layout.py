"""The layout of the capture folder, shared by the workers that fill it and by all that read it. Standard library only.

    photos/SHA256.SUFFIX            a photo as kept, named by the sha256 of its file
    answers.jsonl                   one line per kept answer, in the order of writing
    labels.csv                      path,label of every labelled photo, by paths in this folder
    labelled/CLASS/SHA256.SUFFIX    hard links to the labelled photos (copies where links cannot be)
    none_of_these/SHA256.SUFFIX     those labelled as none of the classes
    review.json                     {"photos": [SHA256, ...]}: what to label next, most useful first
    .lock, .usage                   held by each writer; the bytes in photos/

A line of answers.jsonl has the keys of ANSWER_KEYS.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PHOTOS = "photos"
ANSWERS = "answers.jsonl"
LABELS = "labels.csv"
LABELLED = "labelled"
NONE_OF_THESE = "none_of_these"
REVIEW = "review.json"
USAGE = ".usage"
LOCK = ".lock"

ANSWER_KEYS = (
    # In UTC, as ISO 8601 has it.
    "time",
    # The name of the file in photos/, and of the bytes that the client sent, before anything was stripped.
    "photo",
    "sent_sha256",
    "model",
    "version",
    # Why it was kept: some of share, below, unknown.
    "reasons",
    # [{"label", "index", "probability"}, ...], the likeliest first, five at most.
    "predictions",
    # As in the response; null where the archive has no unknown score.
    "outcome",
    "unknown_score",
)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: one writer at a time, of whatever process. Raises OSError."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
