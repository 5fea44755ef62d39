"""Prints the steps of a promotion and appends them, a line of JSON each, to the server's promotions.log."""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from headswap.output import Timeline, stderr

FILE_NAME = "promotions.log"


class HasState(Protocol):
    """The settings of a server, or the options that name it."""

    @property
    def state(self) -> Path:
        """Return the server's folder."""


class PromotionLog(Timeline):
    """Reports the steps of one command and how it ended; a context manager.

    A line holds `time` (UTC), `command`, its `subject` as typed, `pid` and `after_s`. A step adds its sentence as
    `step`; the last line adds `outcome` (`done` or `failed`) and, after a failure, the reason as `error`.
    """

    def __init__(self, server: HasState, command: str, *, subject: str | None) -> None:
        super().__init__()
        self._path = server.state / "logs" / FILE_NAME
        self._command, self._subject = command, subject

    def __call__(self, step: str) -> None:
        super().__call__(step)
        self._write(step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._write(outcome="done")
        else:
            self._write(outcome="failed", error=str(error) or kind.__name__)

    def _write(self, **fields: str) -> None:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": self._command,
            "subject": self._subject,
            "pid": os.getpid(),
            "after_s": round(self.elapsed_s(), 2),
        }
        try:
            # A single write of a line in append mode: two commands may run at once.
            with self._path.open("a") as log:
                log.write(json.dumps(line | fields) + "\n")
        except FileNotFoundError:
            # No server was ever started here: the command itself will say so.
            return
        except OSError as error:
            stderr.print(f"cannot write {self._path}: {error.strerror}; the steps are not logged")
