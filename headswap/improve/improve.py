"""One improvement: continued where an earlier call ended, begun where there are new labels, else refused."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from capture.errors import CaptureError
from capture.labels import LabelBook
from headswap.improve.journal import LIVE, Journal, Step, read_journal, run_steps
from headswap.improve.snapshot import labels_key
from storage.lock import try_lock

FOLDER = "improvements"
LOCK = ".lock"


@contextmanager
def only_one(captured: Path) -> Iterator[None]:
    """Hold the improvements of the capture folder, so that two commands never work on one.

    Raises:
        CaptureError: another command is at it. OSError: the folder cannot be made.
    """
    folder = captured / FOLDER
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not try_lock(descriptor):
            raise CaptureError(
                f"another headswap improve is at work on {str(captured)!r}; wait until it is done."
            )
        yield
    finally:
        os.close(descriptor)


def find_open(captured: Path) -> Journal | None:
    """Return the journal of the improvement that is not over. Raises CaptureError for a damaged one."""
    return next((journal for journal in _journals(captured) if journal.outcome is None), None)


def is_of(journal: Journal, live: str) -> bool:
    """Return whether the improvement began from the version that is live, or has made it live."""
    return live in (journal.live, journal.version)


def begin(captured: Path, *, live: str, version: str, run: str, share: float) -> Journal:
    """Return a new journal, not written yet.

    Raises:
        CaptureError: there are no labels, these were used before, or the version has been tried before.
    """
    labels = LabelBook(captured).read()
    if not labels:
        raise CaptureError(
            f"{str(captured)!r} holds no labels; label photos on the page, or see headswap review."
        )
    key = labels_key(labels)
    for journal in _journals(captured):
        if journal.labels == key and is_of(journal, live):
            # The run of a live version is what the next one starts from.
            again = "" if journal.outcome == LIVE else ", or remove that folder to try these again"
            raise CaptureError(
                f"{str(captured)!r} holds no labels that were not used before: {journal.folder} ended with "
                f"{journal.outcome!r}. Label more photos{again}."
            )
    folder = captured / FOLDER / version
    if folder.exists():
        raise CaptureError(
            f"{folder} is there already, from an earlier improvement; give another --version, or remove it."
        )
    return Journal(folder=folder, version=version, live=live, run=run, labels=key, share=share)


def run_improvement(
    journal: Journal,
    steps: Sequence[Step],
    *,
    report: Callable[[str], None],
    refusals: tuple[type[Exception], ...],
) -> None:
    """Run what is left of the steps. One of `refusals` ends the improvement: with these labels it would fail again.

    Raises what a step raises.
    """
    journal.folder.mkdir(parents=True, exist_ok=True)
    journal.write()
    try:
        run_steps(journal, steps, report=report)
    except refusals as error:
        end(journal, str(error) or type(error).__name__)
        raise


def end(journal: Journal, outcome: str) -> None:
    """Record that the improvement is over. Raises OSError."""
    journal.outcome = outcome
    journal.write()


def next_version(live: str, taken: Callable[[str], bool]) -> str:
    """Return the version after `live`, its last number one higher, or the first one after that is not taken."""
    match = re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", live)
    if match is None:
        match = re.fullmatch(r"(.*)()()", f"{live}.")
        assert match is not None
    head, number, tail = match[1], int(match[2] or 0), match[3]
    while True:
        number += 1
        version = f"{head}{number}{tail}"
        if not taken(version):
            return version


def _journals(captured: Path) -> list[Journal]:
    folders = sorted((captured / FOLDER).glob("*/"))
    journals = [read_journal(folder) for folder in folders]
    return [journal for journal in journals if journal is not None]
