"""Which columns of a table are the path, the label and the split: by the names in its first line, or in this order."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.kinds import has_photo_name

Columns = Mapping[str, int]
"""The index of path, label and split, the last if there is one."""

IN_ORDER: Columns = {"path": 0, "label": 1, "split": 2}
# The first spelling that a table has counts: an id may stand beside a path.
SPELLINGS: Mapping[str, Sequence[str]] = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name",
             "photo", "img", "image_id", "id"),
    "label": ("label", "labels", "label_name", "class", "class_name", "classname", "category", "category_name",
              "target", "species", "breed", "diagnosis", "dx", "y"),
    "split": ("split", "set", "subset", "partition", "data_set", "dataset"),
}  # fmt: skip
NAMED_MAX = 10


def read_columns(cells: Sequence[str], table: Path) -> Columns | None:
    """Return the columns that a first line names; None if it is a line of data.

    Raises:
        FolderError: it names a path, but which of several others is the label is not known.
    """
    names = [cell.strip().lower().replace(" ", "_") for cell in cells]
    columns = {
        column: names.index(known)
        for column, spellings in SPELLINGS.items()
        if (known := next((name for name in spellings if name in names), None))
    }
    if {"path", "label"} <= set(columns):
        return columns
    if "path" not in columns or any(has_photo_name(Path(cell.strip())) for cell in cells):
        return None
    if len(names) == 2:
        return {"path": columns["path"], "label": 1 - columns["path"]}
    named = ", ".join(repr(cell) for cell in cells[:NAMED_MAX])
    raise FolderError(
        f"{table}: which of the columns {named}{' and more' if len(cells) > NAMED_MAX else ''} is the label? Name that "
        "one label; a table with a column for each class needs one column of class names instead."
    )
