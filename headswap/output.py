"""What the terminal shows: results on standard output, everything else on standard error."""

import sys
import time
import unicodedata
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Wider than any table: one that is cut to the terminal, or to 80 columns in a pipe, loses version numbers.
TABLE_WIDTH_MAX = 100_000


# Marks that turn the direction of the text around them: with them a file name reads as another.
DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """Return the text with terminal control characters written as escapes (`\\x1b`), line ends and tabs kept."""
    return "".join(
        repr(character)[1:-1] if is_control(character) else character for character in text
    )


def is_control(character: str) -> bool:
    """Say whether a terminal obeys the character instead of showing it."""
    if character in "\n\t":
        return False
    return unicodedata.category(character) == "Cc" or character in DIRECTION_MARKS


class VisibleConsole(Console):
    """Shows names of classes and files as they are: an escape sequence in one could rewrite the screen."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    # Names of classes and files are the user's: "[/old]" is not markup and ":cat:" is not an emoji.
    return VisibleConsole(
        stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True
    )


stdout = _console()
stderr = _console(stderr=True)


def print_table(table: Table) -> None:
    """Write the table to standard output with every cell whole, however narrow the terminal."""
    _console(width=TABLE_WIDTH_MAX).print(table)


def print_error(message: str) -> None:
    """Write one line to standard error: errors are read in logs, where one line each can be searched."""
    sys.stderr.write(f"headswap: {' '.join(visible(message).split())}\n")


class Timeline:
    """Prints each step of a command on standard error, with the seconds since the first."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, step: str) -> None:
        stderr.print(f"{self.elapsed_s():6.2f} s  {step}")

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started
