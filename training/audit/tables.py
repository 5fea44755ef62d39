"""CSV as headswap writes and reads it: UTF-8; what is not UTF-8 in the name of a file becomes a question mark."""

import csv
import io
from collections.abc import Sequence


def write_table(rows: Sequence[Sequence[object]]) -> bytes:
    """Return the rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="replace")
