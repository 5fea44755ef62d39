"""Progress of a run on standard error: a bar on a terminal, one line per epoch elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class ProgressDisplay(Protocol):
    def message(self, text: str) -> None:
        """Show a message."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Show a finished epoch, given its line of metrics.jsonl."""


class Progress(Protocol):
    """A context manager that shows progress inside its block."""

    def __enter__(self) -> ProgressDisplay: ...

    def __exit__(self, *details: object) -> None: ...


class _TerminalDisplay:
    def __init__(self, bar: Bar, total: int, finished: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total, completed=finished)

    def message(self, text: str) -> None:
        self._bar.console.print(text, soft_wrap=True, highlight=False)

    def epoch(self, metrics: dict[str, Any]) -> None:
        self._bar.update(self._task, advance=1, description=_format_metrics(metrics))


class _LineDisplay:
    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total

    def message(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)

    def epoch(self, metrics: dict[str, Any]) -> None:
        number = f"epoch {metrics['epoch']:>3}/{self._total}"
        self.message(f"{number}  {_format_metrics(metrics)}  {metrics['seconds']:.1f} s")


class _NoDisplay:
    def message(self, text: str) -> None:
        pass

    def epoch(self, metrics: dict[str, Any]) -> None:
        pass


@contextmanager
def show_progress(total_epochs: int, finished_epochs: int = 0) -> Iterator[ProgressDisplay]:
    """Yield a display on standard error; standard output is for the command's result."""
    # File names are the user's: they are not to be read as markup.
    console = Console(file=sys.stderr, markup=False, emoji=False)
    if not console.is_terminal:
        yield _LineDisplay(console, total_epochs)
        return
    columns = (
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        yield _TerminalDisplay(bar, total_epochs, finished_epochs)


@contextmanager
def no_progress() -> Iterator[ProgressDisplay]:
    """Yield a display that shows nothing: of several processes, only process 0 shows progress."""
    yield _NoDisplay()


def _format_metrics(metrics: dict[str, Any]) -> str:
    part = "head" if metrics["frozen"] else "all "
    losses = f"loss {metrics['train_loss']:.3f}  val {metrics['val_loss']:.3f}"
    return f"{part}  {losses}  accuracy {metrics['val_accuracy']:.3f}"
