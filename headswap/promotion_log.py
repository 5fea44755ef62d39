"""The steps of a promotion, told on the terminal and, a line of JSON each, in the server's promotions.log."""

import json
import os
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from headswap.output import Timeline, stderr

if TYPE_CHECKING:
    from serving.settings import ServerSettings

FILE_NAME = "promotions.log"


class PromotionLog(Timeline):
    """Reports the steps of one verb and, at its end, what came of it.

    A line holds `time` (UTC), `verb`, its `subject` as it was named, `pid` and `after_s`; a step its sentence in
    `step`, the last line `outcome` (`done` or `failed`) and why it failed in `error`.
    """

    def __init__(self, settings: "ServerSettings", verb: str, *, subject: str | None) -> None:
        super().__init__()
        self._path = settings.state / "logs" / FILE_NAME
        self._verb, self._subject = verb, subject

    def __call__(self, sentence: str) -> None:
        super().__call__(sentence)
        self._write(step=sentence)

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

    def _write(self, **told: str) -> None:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "verb": self._verb,
            "subject": self._subject,
            "pid": os.getpid(),
            "after_s": round(self.elapsed_s(), 2),
        }
        try:
            # One write of one line, at the end of the file: two verbs may run at once.
            with self._path.open("a") as log:
                log.write(json.dumps(line | told) + "\n")
        except FileNotFoundError:
            # No server was ever started here: the verb will say so itself.
            return
        except OSError as error:
            stderr.print(f"not logged in {self._path}: {error.strerror}")
