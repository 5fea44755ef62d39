"""Look at a folder of photos before you train on it: counts, sizes, broken files, copies, and a picture of it.

Example:
    headswap data check photos
    headswap data check photos --contact-sheet photos.png

The exit code is 1 where the same photo, or nearly the same, stands in two splits or in two classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from headswap.console import stdout

if TYPE_CHECKING:
    from training.data_check import DataCheck
    from training.near_duplicates import NearDuplicate
    from training.photos import PhotoSet

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Command:
    action: tyro.conf.Positional[Literal["check"]]
    """What to do with the photos."""
    data: tyro.conf.Positional[Path]
    """Folder of class folders, or of train/, val/ and test/ with class folders in each; or a dataset's name."""
    contact_sheet: Path = Path("contact_sheet.png")
    """Where to write the picture: a row a class."""
    seed: int = 0
    """Of the split, where the folder has none; the same as for headswap train."""


def run(command: Command) -> int:
    from training.contact_sheet import write_contact_sheet
    from training.data_check import check_data
    from training.photos import read_photos
    from training.source import find_folder

    photos = read_photos(find_folder(command.data), seed=command.seed)
    check = check_data(photos)
    _show(check)
    write_contact_sheet(photos, command.contact_sheet)
    stdout.print(f"{command.contact_sheet}", soft_wrap=True)
    return 1 if photos.leaks or check.leaking or check.mislabelled else 0


def _show(check: "DataCheck") -> None:
    from rich.table import Table

    photos = check.photos
    table = Table("class", *check.counts, box=None)
    for label, name in enumerate(photos.class_names):
        table.add_row(name, *(str(counts[label]) for counts in check.counts.values()))
    stdout.print(table)
    smallest, median, largest = check.shorter_side_px
    formats = ", ".join(f"{name} {count}" for name, count in check.formats.most_common())
    stdout.print(f"shorter side {smallest} to {largest} pixels, median {median}; {formats}")
    stdout.print(f"the largest class has {check.imbalance:.1f} times the photos of the smallest")
    _show_files(photos)
    _show_pairs("nearly the same in two splits", check.leaking, photos)
    _show_pairs("nearly the same in two classes", check.mislabelled, photos)
    within = len(check.near_duplicates) - len(check.leaking)
    stdout.print(f"{within} more pairs are nearly the same within a split")


def _show_files(photos: "PhotoSet") -> None:
    stdout.print(f"{len(photos.bad_files)} broken files, left out")
    for bad in photos.bad_files[:SHOWN]:
        stdout.print(f"  {bad.path}: {bad.reason}", markup=False, soft_wrap=True)
    stdout.print(f"{len(photos.leaks)} exact copies, left out of what is learned from")
    for leak in photos.leaks[:SHOWN]:
        stdout.print(f"  {leak.dropped} is {leak.kept}", markup=False, soft_wrap=True)


def _show_pairs(told: str, pairs: "list[NearDuplicate]", photos: "PhotoSet") -> None:
    stdout.print(f"{len(pairs)} pairs are {told}")
    for pair in pairs[:SHOWN]:
        stdout.print(f"  {pair.first.path} and {pair.second.path}", markup=False, soft_wrap=True)
