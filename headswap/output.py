"""What the terminal shows: results on standard output, everything else on standard error."""

import sys

from rich.console import Console


def _console(*, stderr: bool = False) -> Console:
    # Names of classes and files are the user's: "[/old]" is no markup, ":cat:" no picture of one.
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


stdout = _console()
stderr = _console(stderr=True)


def print_error(message: str) -> None:
    """Write one line: an error is read at night, in a log, by someone who wants the sentence alone."""
    sys.stderr.write(f"headswap: {' '.join(message.split())}\n")
