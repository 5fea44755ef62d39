"""A tracker in a thread of its own: a server that is down, slow or lost neither ends nor slows a training."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from training.tracking.tracker import Status, Tracker

# For what is not delivered when the training is over.
CLOSE_TIMEOUT_S = 10.0
REASON_CHARACTERS_MAX = 200

Call = Callable[[Tracker], None]


class BackgroundTracker:
    """Delivers in order. What fails is tried again with the next call; the first failure alone is warned of."""

    def __init__(self, name: str, make: Callable[[], Tracker], warn: Callable[[str], None]) -> None:
        self._name, self._make, self._warn = name, make, warn
        self._tracker: Tracker | None = None
        self._history: list[Mapping[str, Any]] = []
        self._calls: deque[Call] = deque()
        self._changed = threading.Condition()
        self._has_news = self._is_closing = self._is_abandoned = self._has_failed = False
        # A daemon, because one that waits for a server must not keep the program from ending.
        self._thread = threading.Thread(target=self._deliver_all, daemon=True, name=name)
        self._thread.start()

    def log_epoch(self, line: Mapping[str, Any]) -> None:
        """Deliver a line of metrics.jsonl, soon."""
        self._announce(lambda: self._history.append(line))

    def call(self, call: Call) -> None:
        """Call with the tracker, soon and once, after the epochs."""
        self._announce(lambda: self._calls.append(call))

    def close(self, status: Status) -> None:
        """Deliver what is left and close the tracker, in at most CLOSE_TIMEOUT_S."""
        self._announce(lambda: self._calls.append(lambda tracker: tracker.close(status)))
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            self._is_abandoned = True
            self._warn_once(f"it did not answer within {CLOSE_TIMEOUT_S:.0f} s")

    def _announce(self, change: Callable[[], None]) -> None:
        with self._changed:
            change()
            self._has_news = True
            self._changed.notify()

    def _deliver_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_news or self._is_closing)
                is_last = self._is_closing
                self._has_news = False
                history = list(self._history)
            if not self._is_abandoned:
                self._deliver(history)
            if is_last and not self._has_news:
                return

    def _deliver(self, history: list[Mapping[str, Any]]) -> None:
        with self._failures_as_one_warning():
            if self._tracker is None:
                self._tracker = self._make()
            self._tracker.log_epochs(history)
            for _ in range(len(self._calls)):
                call = self._calls.popleft()
                # Back in the line until it is done.
                self._calls.append(call)
                with self._failures_as_one_warning():
                    call(self._tracker)
                    self._calls.remove(call)

    @contextmanager
    def _failures_as_one_warning(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # Each library, and what it calls, has errors of its own.
            self._warn_once(" ".join(str(error).split()) or type(error).__name__)

    def _warn_once(self, reason: str) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        self._warn(
            f"warning: --log {self._name} failed, the training goes on: {reason[:REASON_CHARACTERS_MAX]}"
        )
