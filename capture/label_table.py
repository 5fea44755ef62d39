"""Labels that a person wrote into a table: path,label, as `headswap review --suggest --out` writes the paths."""

import csv
from collections.abc import Sequence
from pathlib import Path

from capture.answers import CapturedPhoto
from capture.errors import CaptureError
from capture.labels import NONE_LABEL, LabelBook, check_class_name

DELIMITERS = ",;\t"


def label_listed(folder: Path, captured: Sequence[CapturedPhoto], table: Path) -> int:
    """Label the photos that the table lists, and return how many; a photo is known by the name of its file.

    Nothing is labelled where a row cannot be: it is read whole before the first label is written.

    Raises:
        CaptureError: the table cannot be read, lists a photo that was not captured, or a label that no class can have.
    """
    photos = {photo.path.name: photo for photo in captured}
    rows = []
    for number, path, label in _read(table):
        name = Path(path).name
        if name not in photos:
            raise CaptureError(
                f"{table}, line {number}: {path!r:.200} is not a photo in {str(folder)!r}; a path is that of the photo "
                "there, as headswap review --suggest prints it."
            )
        class_name = None if label == NONE_LABEL else label
        if class_name is not None:
            check_class_name(class_name)
        rows.append((photos[name], class_name))
    book = LabelBook(folder)
    for photo, class_name in rows:
        book.write(photo, class_name)
    return len(rows)


def _read(table: Path) -> list[tuple[int, str, str]]:
    """Return line number, path and label of each row that has a label."""
    try:
        # Spreadsheets put a byte order mark in front.
        with table.open(newline="", encoding="utf-8-sig") as file:
            # Which of them also depends on the spreadsheet's language.
            head = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(DELIMITERS, key=head.count))
            missing = {"path", "label"} - set(reader.fieldnames or ())
            rows = [
                (reader.line_num, row["path"] or "", (row["label"] or "").strip())
                for row in reader
                if not missing
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise CaptureError(f"{table} cannot be read: {reason}.") from None
    if missing:
        raise CaptureError(
            f"{table} lacks the column {' and '.join(sorted(missing))}; its first line has to be path,label."
        )
    return [row for row in rows if row[2]]
