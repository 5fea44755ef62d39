"""Class names where a long one does not fit; the tables of a report have them in full."""

import unicodedata

# As wide as "a_rather_long_class_name".
LABEL_WIDTH = 24


def shorten_name(name: str, width: int = LABEL_WIDTH) -> str:
    """Return the name if it is at most `width` columns wide, else its two ends with an ellipsis between.

    Names often begin alike, as paths do, and differ at their end.
    """
    if name_width(name) <= width:
        return name
    half = (width - 1) // 2
    end = _beginning(name[::-1], width - 1 - half)[::-1]
    return f"{_beginning(name, half)}…{end}"


def name_width(name: str) -> int:
    """Return the width in columns of a fixed-width font, where a Chinese character takes two."""
    return sum(map(_columns, name))


def _beginning(name: str, width: int) -> str:
    for count in range(len(name), -1, -1):
        if name_width(name[:count]) <= width:
            return name[:count]
    return ""


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
