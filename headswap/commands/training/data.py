"""Check a folder of photos before training on it, and audit its labels.

Example:
    headswap data check photos
    headswap data check photos --contact-sheet photos.png
    headswap data audit photos
    headswap data audit photos --apply fixed.csv
    headswap data audit photos --undo

See headswap data check --help and headswap data audit --help.
"""

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
from headswap.commands.training import data_audit
from headswap.output import print_table, stdout

if TYPE_CHECKING:
    from training.data.check import DataCheck
    from training.data.duplicates import NearDuplicate
    from training.data.photos import PhotoSet

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Check:
    """Counts, sizes, broken files, duplicates, and a contact sheet.

    The exit code is 1 where the same photo, or nearly the same, is in two splits or in two classes.
    """

    data: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DATA")]]
    """Folder of class folders, or of train/, val/ and test/ with class folders in each; or a dataset's name."""
    labels: Path | None = None
    """CSV file of path,label or path,label,split, instead of class folders; paths may be relative to DATA."""
    contact_sheet: Path = Path("contact_sheet.png")
    """File for a picture with one row of photos per class."""
    group_by: str | None = None
    """Keep groups of photos in one split: folder, exif-burst or a regular expression; see `headswap train --help`."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Photos with more pixels are skipped; of a baseline JPEG those after scaling count."""
    max_header_pixels: int = DEFAULT_MAX_HEADER_PIXELS
    """Baseline JPEGs with more pixels before scaling are skipped."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Larger files are skipped."""
    seed: int = 0
    """Seed of the split, for a folder that is not split yet; headswap train has the same flag."""


Command = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[data_audit.Audit, tyro.conf.subcommand("audit")]
)


def run(command: Check | data_audit.Audit) -> int:
    return data_audit.run(command) if isinstance(command, data_audit.Audit) else _check(command)


def _check(command: Check) -> int:
    from training.data.check import check_data
    from training.data.contact_sheet import write_contact_sheets
    from training.data.grey_hints import suggest_grey_range
    from training.data.photos import read_photos
    from training.data.source import find_folder
    from training.group_by import check_group_by

    if command.group_by is not None:
        check_group_by(command.group_by)
    photos = read_photos(
        find_folder(command.data),
        seed=command.seed,
        group_by=command.group_by,
        labels=command.labels,
        limits=DecodeLimits(
            max_pixels=command.max_pixels,
            max_header_pixels=command.max_header_pixels,
            max_bytes=command.max_bytes,
        ),
    )
    check = check_data(photos)
    _show(check)
    _show_groups(check, command.group_by)
    if hint := suggest_grey_range(photos):
        stdout.print(hint)
    for sheet in write_contact_sheets(photos, command.contact_sheet):
        stdout.print(f"{sheet}")
    return 1 if photos.leaks or check.leaking or check.mislabelled else 0


def _show(check: "DataCheck") -> None:
    from rich.table import Table

    photos = check.photos
    table = Table("class", *check.counts, box=None)
    for label, name in enumerate(photos.class_names):
        table.add_row(name, *(str(counts[label]) for counts in check.counts.values()))
    print_table(table)
    smallest, median, largest = check.shorter_side_px
    formats = ", ".join(f"{name} {count}" for name, count in check.formats.most_common())
    stdout.print(f"shorter side {smallest} to {largest} pixels, median {median}; {formats}")
    stdout.print(
        f"the largest class has {check.imbalance:.1f} times as many photos as the smallest"
    )
    _show_files(photos)
    _show_pairs("near-duplicates across splits", check.leaking)
    _show_pairs("duplicates or near-duplicates across classes", check.mislabelled)
    within = len(check.near_duplicates) - len(check.leaking)
    stdout.print(f"{within} pairs are near-duplicates within a split")
    if check.is_truncated:
        stdout.print(
            "the search stopped there: so many photos look alike that these are not copies"
        )


def _show_files(photos: "PhotoSet") -> None:
    for note in photos.notes:
        stdout.print(note)
    _show_some(
        f"{len(photos.bad_files)} broken files, left out",
        [f"{bad.path}: {bad.reason}" for bad in photos.bad_files],
    )
    _show_some(
        f"{len(photos.leaks)} exact copies across splits, left out of training",
        [f"{leak.dropped} is a copy of {leak.kept}" for leak in photos.leaks],
    )
    copies = len(photos.photos) - len({photo.sha256 for photo in photos.photos})
    if copies:
        stdout.print(f"{copies} exact copies of other photos in the same split")


def _show_groups(check: "DataCheck", group_by: str | None) -> None:
    from training.data.group_hints import suggest_group_by

    photos = check.photos
    if group_by is not None:
        groups = {photo.group for photo in photos.photos} - {None}
        stdout.print(f"{len(groups)} groups of photos, each in one split")
        _show_some(
            f"{len(photos.group_leaks)} photos whose group is in another split, left out",
            [f"{leak.dropped}: {leak.group}" for leak in photos.group_leaks],
        )
    if hint := suggest_group_by(photos, group_by=group_by, near_duplicates=check.near_leaked):
        stdout.print(hint)


def _show_pairs(description: str, pairs: "list[NearDuplicate]") -> None:
    named = [f"{pair.first.path} and {pair.second.path}" for pair in pairs]
    _show_some(f"{len(pairs)} pairs are {description}", named)


def _show_some(title: str, lines: list[str]) -> None:
    stdout.print(title)
    for line in lines[:SHOWN]:
        stdout.print(f"  {line}")
    if len(lines) > SHOWN:
        stdout.print(f"  and {len(lines) - SHOWN} more")
