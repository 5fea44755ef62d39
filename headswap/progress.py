"""How far a command has come through many photos, on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headswap.output import stderr

# A log that somebody looks at the next morning.
LINE_INTERVAL_S = 60.0

Advance = Callable[[int], object]


@contextmanager
def progress(count: int, *, done: int = 0, has_lines: bool = False) -> Iterator[Advance]:
    """Yield what to call after photos, with their number: it advances a progress bar on a terminal.

    Elsewhere it does nothing, or `has_lines` writes one line a minute.
    """
    if not stderr.is_terminal:
        yield _Lines(count, done) if has_lines else _nothing
        return
    if count < 2:
        yield _nothing
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    # Lines for a terminal are printed above the bar; lines for a file or a pipe must not pass through it.
    bar = Progress(
        BarColumn(), MofNCompleteColumn(), "photos", TimeRemainingColumn(),
        console=stderr, transient=True, redirect_stdout=sys.stdout.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=count, completed=done)
        yield lambda photos: bar.advance(task, photos)


def _nothing(_: int) -> None:
    return


class _Lines:
    """Writes `12,000 of 50,000 photos, 55.1/s, 12 min left`."""

    def __init__(self, count: int, done: int) -> None:
        self._count = count
        self._done = self._done_before = done
        self._started = self._written = time.monotonic()

    def __call__(self, photos: int) -> None:
        self._done += photos
        now = time.monotonic()
        if now - self._written >= LINE_INTERVAL_S:
            self._written = now
            per_s = (self._done - self._done_before) / (now - self._started)
            left_min = (self._count - self._done) / per_s / 60
            stderr.print(
                f"{self._done:,} of {self._count:,} photos, {per_s:.1f}/s, {left_min:.0f} min left"
            )
