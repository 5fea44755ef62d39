"""What the terminal shows: results on standard output, everything else on standard error."""

import sys
import time

from rich.console import Console
from rich.table import Table

# Wider than any table: one that is cut to the terminal, or to 80 columns in a pipe, loses version numbers.
TABLE_WIDTH_MAX = 100_000


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    # Names of classes and files are the user's: "[/old]" is not markup and ":cat:" is not an emoji.
    return Console(
        stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True
    )


stdout = _console()
stderr = _console(stderr=True)


def print_table(table: Table) -> None:
    """Write the table to standard output with every cell whole, however narrow the terminal."""
    _console(width=TABLE_WIDTH_MAX).print(table)


def print_error(message: str) -> None:
    """Write one line to standard error: errors are read in logs, where one line each can be searched."""
    sys.stderr.write(f"headswap: {' '.join(message.split())}\n")


class Timeline:
    """Prints each step of a command on standard error, with the seconds since the first."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, step: str) -> None:
        stderr.print(f"{self.elapsed_s():6.2f} s  {step}")

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started
