"""`headswap data audit`: labels that are probably wrong, shown, corrected, and corrected back."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from handlers.images.limits import (
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_HEADER_PIXELS,
    DEFAULT_MAX_PIXELS,
    DecodeLimits,
)
from headswap.errors import ArgumentError
from headswap.output import print_table, stderr, stdout

if TYPE_CHECKING:
    from training.audit.audit import Audit as AuditResult
    from training.audit.place import AuditPlace


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Labels that are probably wrong: a page to look at, and a table to correct and apply.

    Suspected are labels against which a classifier speaks that was trained on the other photos, copies with two labels,
    and photos unlike the rest of their class. audit.html shows them; suspects.csv lists them. Remove the lines of
    labels that are right, and give the rest to --apply: it moves photos into the folders of their classes, or writes a
    new file of labels. Nothing is overwritten, and --undo moves them back.
    """

    data: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN|DATA")]]
    """A run, whose photos are audited, or a folder of photos as for `headswap train`; or a dataset's name."""
    labels: Path | None = None
    """CSV file of path,label or path,label,split, instead of class folders."""
    out: Path = Path("audit")
    """Folder for audit.html, suspects.csv, and the features of the photos, which a second audit reads again."""
    apply: Path | None = None
    """CSV file of path and label, such as the corrected suspects.csv: give the photos these labels."""
    undo: bool = False
    """Move the photos of the last --apply back."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Photos with more pixels are skipped; of a baseline JPEG those after scaling count."""
    max_header_pixels: int = DEFAULT_MAX_HEADER_PIXELS
    """Baseline JPEGs with more pixels before scaling are skipped."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Larger files are skipped."""
    seed: int = 0
    """Seed of the division into parts for cross-validation."""

    @property
    def limits(self) -> DecodeLimits:
        return DecodeLimits(
            max_pixels=self.max_pixels,
            max_header_pixels=self.max_header_pixels,
            max_bytes=self.max_bytes,
        )


def run(command: Audit) -> int:
    from training.audit.place import find_place

    if command.undo and command.apply is not None:
        raise ArgumentError("--apply and --undo cannot be combined; give one of them.")
    place = find_place(command.data, labels=command.labels, limits=command.limits)
    if command.undo:
        return _undo(place)
    return _audit(command, place) if command.apply is None else _apply(command.apply, place)


def _audit(command: Audit, place: "AuditPlace") -> int:
    from training.audit.report import write_audit

    apply_command = f"headswap data audit {shlex.quote(str(command.data))}"
    if command.labels is not None:
        apply_command += f" --labels {shlex.quote(str(command.labels))}"
    apply_command += " --apply fixed.csv"
    with _progress() as progress:
        audit = write_audit(
            place,
            command.out,
            apply_command=apply_command,
            seed=command.seed,
            message=stderr.print,
            progress=progress,
        )
    _show(audit)
    stdout.print(f"{command.out / 'audit.html'}\n{command.out / 'suspects.csv'}")
    stdout.print(f"Next: look at them, correct suspects.csv, and {apply_command}")
    return 0


def _apply(table: Path, place: "AuditPlace") -> int:
    from training.audit.fixes import apply_to_folders, apply_to_table
    from training.audit.journal import open_journal

    if place.labels is not None:
        count, written = apply_to_table(place.folder, table, place.labels)
        stdout.print(f"{count} labels changed" + (f" in the new file {written}" if written else ""))
        if written:
            stdout.print(f"Next: headswap train --data {place.folder} --labels {written}")
        return 0
    with open_journal(place.folder) as journal:
        _report_recovered(journal.recover())
        count, undo_list = apply_to_folders(place.folder, table, journal, unlabeled=place.unlabeled)
    stdout.print(f"{count} photos moved" + (f"; the undo list is {undo_list}" if count else ""))
    return 0


def _undo(place: "AuditPlace") -> int:
    from training.audit.journal import open_journal

    if place.labels is not None:
        raise ArgumentError(
            f"--undo moves photos back; labels in a table are never overwritten: {place.labels} is as it was."
        )
    with open_journal(place.folder) as journal:
        count = journal.recover()
        stdout.print(f"{count or journal.undo_last()} photos moved back")
    return 0


def _report_recovered(count: int) -> None:
    if count:
        stderr.print(f"an earlier --apply or --undo was stopped: moved {count} photos back first")


def _show(audit: "AuditResult") -> None:
    from rich.table import Table

    table = Table("given", "suggested", "photos", box=None)
    pairs: dict[tuple[int, int], int] = {}
    for suspect in audit.of("label"):
        pair = (suspect.photo.label, suspect.suggested)
        pairs[pair] = pairs.get(pair, 0) + 1
    names = audit.class_names
    for (given, suggested), count in sorted(pairs.items(), key=lambda item: -item[1])[:10]:
        table.add_row(names[given], names[suggested], str(count))
    stdout.print(
        f"{len(audit.of('label'))} of {audit.photo_count} labels are suspected, {len(audit.of('duplicate'))} more "
        f"photos have a copy with another label, {len(audit.of('outlier'))} are unlike the rest of their class"
    )
    if pairs:
        print_table(table)
    if audit.small_classes:
        stdout.print(
            f"not checked, because they have fewer than five photos: {', '.join(audit.small_classes)}"
        )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], object]]:
    """Yield what to call with the number of photos done and of all; it shows a bar on a terminal."""
    if not stderr.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        BarColumn(), MofNCompleteColumn(), "photos", TimeRemainingColumn(),
        console=stderr, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
