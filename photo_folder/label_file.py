"""Labels in a table, instead of in the names of folders: a CSV file of path, label and perhaps split.

A first line that names its columns (path, label, split, or file, class, subset and the like) may put them in any order.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from photo_folder.errors import FolderError
from photo_folder.labelled import LabelledFile, LabelledFiles, to_class_name
from photo_folder.passed import plural
from photo_folder.split_names import Split, split_of
from photo_folder.tree import read_tree

# The first spelling that a table has counts: an id may stand beside a path.
COLUMNS: Mapping[str, Sequence[str]] = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name",
             "photo", "img", "image_id", "id"),
    "label": ("label", "class", "class_name", "category", "target", "breed"),
    "split": ("split", "set", "subset", "partition", "data_set", "dataset"),
}  # fmt: skip
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

    A path that leads to no file there is that of the only photo in the folder whose path ends so, with or without its
    suffix; else it is kept, as one that cannot be read.

    Raises:
        FolderError: the table or the folder cannot be read, or two lines contradict each other.
    """
    rows = list(_rows(table))
    tree = read_tree(folder)
    places = _Places(folder, table.parent, tree.root.all_photos)
    files: dict[Path, LabelledFile] = {}
    lines: dict[Path, int] = {}
    for row in rows:
        path = places.find(row, table)
        file = LabelledFile(
            path=path,
            class_name=to_class_name(row.label),
            split=_split(row, rows[0], table),
            subfolder=path.parent.name if path.parent != folder else "",
        )
        before = files.setdefault(file.path, file)
        first = lines.setdefault(file.path, row.line)
        if before != file:
            raise FolderError(
                f"{table}: line {row.line} labels {row.path!r} as {_meaning(file)}, line {first} as "
                f"{_meaning(before)}; remove one of them."
            )
    notes = _notes(tree.root.all_photos, files, table)
    return LabelledFiles(files=tuple(sorted(files.values(), key=_order)), notes=tuple(notes))


def tables_in(folder: Path) -> list[Path]:
    """Return the CSV files right in a folder: what --labels may be meant to name."""
    return sorted(path for path in folder.glob("*.[cCtT][sS][vV]") if path.is_file())


def _rows(table: Path) -> Iterator[_Row]:
    lines = _lines(table)
    if not lines:
        raise FolderError(f"{table} is empty; it needs lines of path,label or path,label,split.")
    columns = _columns(lines[0][1])
    if columns is None:
        columns = {"path": 0, "label": 1, "split": 2}
    else:
        lines = lines[1:]
    if not lines:
        raise FolderError(
            f"{table} lists no photo; it needs lines of path,label or path,label,split."
        )
    for number, cells in lines:
        row = _row(number, cells, columns)
        if not row.path or not row.label:
            raise FolderError(
                f"{table}, line {number}: {','.join(cells)[:80]!r} has no {'label' if row.path else 'path'}; each line "
                "needs path,label or path,label,split."
            )
        yield row


def _lines(table: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that are not blank, with their numbers."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except UnicodeDecodeError:
        raise FolderError(f"{table} is not UTF-8; save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise FolderError(f"{table} is not a CSV file: {error}.") from None
    except OSError as error:
        raise FolderError(f"--labels {str(table)!r} cannot be read: {error.strerror}.") from None


def _columns(cells: Sequence[str]) -> dict[str, int] | None:
    """Return the index of each column that a first line names; None if it is a line of data."""
    names = [cell.strip().lower().replace(" ", "_") for cell in cells]
    columns = {
        column: names.index(known)
        for column, spellings in COLUMNS.items()
        if (known := next((name for name in spellings if name in names), None))
    }
    return columns if {"path", "label"} <= set(columns) else None


def _row(number: int, cells: Sequence[str], columns: Mapping[str, int]) -> _Row:
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


class _Places:
    def __init__(self, folder: Path, beside: Path, photos: Sequence[Path]) -> None:
        self._folders = (folder, beside)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for photo in photos:
            for name in {photo.name, photo.stem}:
                self._by_name[name].append(photo)

    def find(self, row: _Row, table: Path) -> Path:
        """Return the file that a row means; one that does not exist if there is none."""
        path = row.path.replace("\\", "/").replace("\0", "\N{REPLACEMENT CHARACTER}")
        for folder in self._folders:
            try:
                if (folder / path).is_file():
                    return folder / path
            except OSError:
                raise FolderError(
                    f"{table}, line {row.line}: {row.path[:80]!r} is not a path."
                ) from None
        parts = PurePosixPath(path).parts
        named = [p for p in self._by_name.get(parts[-1], []) if _ends_with(p, parts)]
        if len(named) > 1:
            raise FolderError(
                f"{table}, line {row.line}: {row.path!r} may be {named[0]} or {named[1]}; write the path from "
                f"{self._folders[0]}."
            )
        return named[0] if named else self._folders[0] / path


def _ends_with(photo: Path, parts: Sequence[str]) -> bool:
    return tuple(photo.parts[-len(parts) : -1]) == tuple(parts[:-1])


def _notes(photos: Sequence[Path], files: Mapping[Path, LabelledFile], table: Path) -> list[str]:
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
