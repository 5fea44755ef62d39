"""What the terminal shows: results on standard output, everything else on standard error."""

import sys
import time

from rich.console import Console


def _console(*, stderr: bool = False) -> Console:
    # Names of classes and files are the user's: "[/old]" is not markup and ":cat:" is not an emoji.
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


stdout = _console()
stderr = _console(stderr=True)


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
