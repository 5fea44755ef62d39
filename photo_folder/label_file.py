"""Labels in a table, instead of in the names of folders: a CSV file of path, label and perhaps split.

A first line that names its columns (path, label, split, or file, class, subset and the like) may put them in any order.
"""

import codecs
import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.kinds import has_photo_name
from photo_folder.labelled import LabelledFile, LabelledFiles, to_class_name
from photo_folder.passed import plural
from photo_folder.split_names import Split, split_of
from photo_folder.table_columns import IN_ORDER, Columns, read_columns
from photo_folder.table_paths import TablePaths
from photo_folder.tree import read_tree

DELIMITERS = ",;\t"
NAMED_MAX = 10


@dataclass(frozen=True, kw_only=True)
class _Row:
    line: int
    path: str
    label: str
    split: str


def find_listed(folder: Path, table: Path) -> LabelledFiles:
    """Return the photos that the table lists. Its paths are relative to the folder, or to the table's own.

    A path that leads to no photo (photo_folder/table_paths.py) is kept, as one that cannot be read.

    Raises:
        FolderError: the table or the folder cannot be read, or two lines contradict each other.
    """
    notes: list[str] = []
    tree = read_tree(folder)
    paths = TablePaths(folder, table.parent, tree.root.all_photos)
    placed = _without_names(
        [(row, _find(paths, row, table)) for row in _rows(table, notes)], table, notes
    )
    files: dict[Path, LabelledFile] = {}
    lines: dict[Path, int] = {}
    for row, path in placed:
        file = LabelledFile(
            path=path,
            class_name=to_class_name(row.label),
            split=_split(row, placed[0][0], table),
            subfolder=path.parent.name if path.parent != folder else "",
        )
        before = files.setdefault(file.path, file)
        first = lines.setdefault(file.path, row.line)
        if before != file:
            raise FolderError(
                f"{table}: line {row.line} labels {row.path!r} as {_meaning(file)}, line {first} as "
                f"{_meaning(before)}; remove one of them."
            )
    notes += _unlisted(tree.root.all_photos, files, table)
    return LabelledFiles(files=tuple(sorted(files.values(), key=_order)), notes=tuple(notes))


def tables_in(folder: Path) -> list[Path]:
    """Return the CSV files right in a folder: what --labels may be meant to name."""
    return sorted(path for path in folder.glob("*.[cCtT][sS][vV]") if path.is_file())


def _rows(table: Path, notes: list[str]) -> list[_Row]:
    lines = _lines(table)
    if not lines:
        raise FolderError(f"{table} is empty; it needs lines of path,label or path,label,split.")
    columns = read_columns(lines[0][1], table)
    if columns is not None:
        name_of = dict(enumerate(lines[0][1]))
        lines = lines[1:]
    if not lines:
        raise FolderError(
            f"{table} lists no photo; it needs lines of path,label or path,label,split."
        )
    rows = [_row(number, cells, columns or IN_ORDER) for number, cells in lines]
    for row, (number, cells) in zip(rows, lines, strict=True):
        if not row.path or not row.label:
            raise FolderError(
                f"{table}, line {number}: {','.join(cells)[:80]!r} has no {'label' if row.path else 'path'}; each line "
                "needs path,label or path,label,split."
            )
    if columns and "split" in columns and not any(split_of(row.split) for row in rows):
        name = name_of[columns["split"]].strip()
        # A column called dataset often says where a photo comes from.
        if name.lower() != "split":
            notes.append(
                f"the column {name!r} of {table} holds no split as train or test, not used"
            )
            return [replace(row, split="") for row in rows]
    return rows


def _lines(table: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that are not blank, with their numbers."""
    try:
        with table.open(encoding=_encoding(table), newline="") as file:
            first = file.readline()
            delimiter = max(DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except UnicodeError:
        raise FolderError(f"{table} is not UTF-8; save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise FolderError(f"{table} is not a CSV file: {error}.") from None
    except OSError as error:
        raise FolderError(f"--labels {str(table)!r} cannot be read: {error.strerror}.") from None


def _encoding(table: Path) -> str:
    """Return UTF-16 for a file that begins like it, as Excel writes it, else UTF-8. Raises OSError."""
    with table.open("rb") as file:
        return (
            "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        )


def _row(number: int, cells: Sequence[str], columns: Columns) -> _Row:
    def cell(column: str) -> str:
        index = columns.get(column, len(cells))
        return cells[index].strip() if index < len(cells) else ""

    return _Row(line=number, path=cell("path"), label=cell("label"), split=cell("split"))


def _split(row: _Row, first: _Row, table: Path) -> Split | None:
    if not row.split and not first.split:
        return None
    split = split_of(row.split)
    if split is None or not first.split:
        other = (
            f", line {first.line} is of {first.split!r}" if split is None and first.split else ""
        )
        raise FolderError(
            f"{table}, line {row.line}: the split is {row.split!r}{other}; give every line train, val or test, or none."
        )
    return split


def _find(paths: TablePaths, row: _Row, table: Path) -> Path:
    try:
        return paths.find(row.path)
    except FolderError as error:
        raise FolderError(f"{table}, line {row.line}: {error}") from None


def _without_names(
    placed: list[tuple[_Row, Path]], table: Path, notes: list[str]
) -> list[tuple[_Row, Path]]:
    """Return the lines without a first one that names columns in words of its own: its path alone leads nowhere."""
    (first, path), *others = placed
    if path.exists() or has_photo_name(path) or not others or not others[0][1].exists():
        return placed
    notes.append(
        f"line {first.line} of {table} names no photo, so {first.path!r} and {first.label!r} are read as the names of "
        "its columns"
    )
    return others


def _unlisted(photos: Sequence[Path], files: Mapping[Path, LabelledFile], table: Path) -> list[str]:
    listed = {os.path.realpath(path) for path in files}
    unlisted = [photo for photo in photos if os.path.realpath(photo) not in listed]
    if not unlisted:
        return []
    named = ", ".join(map(str, unlisted[:NAMED_MAX]))
    return [
        f"{plural(len(unlisted), 'photo')} not listed in {table}, not used: {named}"
        + (" and more" if len(unlisted) > NAMED_MAX else "")
    ]


def _order(file: LabelledFile) -> tuple[str, str, Path]:
    return file.split or "", file.class_name, file.path


def _meaning(file: LabelledFile) -> str:
    return f"{file.class_name!r}" + (f" in {file.split}" if file.split else "")
