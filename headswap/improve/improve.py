"""One improvement: continued where an earlier call ended, begun where there are new labels, else refused."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from capture.errors import CaptureError
from capture.labels import LabelBook
from headswap.improve.journal import Journal, Step, read_journal, run_steps
from headswap.improve.snapshot import labels_key

FOLDER = "improvements"


def find_or_begin(
    captured: Path, *, live: str, version: str, report: Callable[[str], None]
) -> Journal:
    """Return the journal of the improvement that is not over, or a new one, not written yet.

    Raises:
        CaptureError: there are no labels, none are new since the last improvement, or another version went live since
            the one that is not over began.
    """
    labels = LabelBook(captured).read()
    known = _journals(captured)
    for journal in known:
        if journal.outcome is None:
            if live not in (journal.live, journal.version):
                raise CaptureError(
                    f"{journal.folder} began from version {journal.live}, and {live} is live now; remove that "
                    "folder to begin again from the live version."
                )
            report(f"continues {journal.folder}")
            return journal
    if not labels:
        raise CaptureError(
            f"{str(captured)!r} holds no labels; label photos on the page, or see headswap review."
        )
    key = labels_key(labels)
    if any(journal.labels == key for journal in known):
        raise CaptureError(
            f"{str(captured)!r} holds no labels that were not used before; label more photos."
        )
    folder = captured / FOLDER / version
    return Journal(folder=folder, version=version, live=live, labels=key)


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
        journal.outcome = str(error) or type(error).__name__
        journal.write()
        raise


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
