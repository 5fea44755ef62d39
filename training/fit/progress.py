"""What is seen of a run while it trains: a bar on a terminal, one line an epoch elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Shown(Protocol):
    def say(self, text: str) -> None:
        """Show a remark."""

    def epoch(self, line: dict[str, Any]) -> None:
        """Show a finished epoch."""


class Progress(Protocol):
    def __enter__(self) -> Shown: ...

    def __exit__(self, *details: object) -> None: ...


class _Terminal:
    def __init__(self, bar: Bar, total: int, done: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total, completed=done)

    def say(self, text: str) -> None:
        self._bar.console.print(text, soft_wrap=True, highlight=False)

    def epoch(self, line: dict[str, Any]) -> None:
        self._bar.update(self._task, advance=1, description=_sentence(line))


class _Lines:
    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)

    def epoch(self, line: dict[str, Any]) -> None:
        self.say(
            f"epoch {line['epoch']:>3}/{self._total}  {_sentence(line)}  {line['seconds']:.1f} s"
        )


@contextmanager
def show_progress(total_epochs: int, done_epochs: int = 0) -> Iterator[Shown]:
    """Yield where epochs are told: standard error, for standard output holds the verb's result."""
    # Names of files are the user's: what looks like markup in them is none.
    console = Console(file=sys.stderr, markup=False, emoji=False)
    if not console.is_terminal:
        yield _Lines(console, total_epochs)
        return
    columns = (
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        yield _Terminal(bar, total_epochs, done_epochs)


class _Silence:
    def say(self, text: str) -> None:
        pass

    def epoch(self, line: dict[str, Any]) -> None:
        pass


@contextmanager
def show_nothing() -> Iterator[Shown]:
    """Yield where epochs are told that another process shows."""
    yield _Silence()


def _sentence(line: dict[str, Any]) -> str:
    part = "head" if line["frozen"] else "all "
    losses = f"loss {line['train_loss']:.3f}  val {line['val_loss']:.3f}"
    return f"{part}  {losses}  accuracy {line['val_accuracy']:.3f}"
