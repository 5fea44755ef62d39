"""What the terminal shows: results on standard output, everything else on standard error."""

import sys

from rich.console import Console

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def print_error(message: str) -> None:
    """Write one line: an error is read at night, in a log, by someone who wants the sentence alone."""
    sys.stderr.write(f"headswap: {' '.join(message.split())}\n")
