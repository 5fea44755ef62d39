"""One promotion, rollback or retirement at a time, in a thread, with its timeline for whoever watches."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.errors import BusyError, ServingError
from serving.rollout.session import Report


@dataclass(kw_only=True)
class Rollout:
    """What runs, or ran last."""

    title: str
    number: int
    began: float
    """Unix time in seconds."""
    steps: list[tuple[float, str]] = field(default_factory=list)
    """Seconds after the start, and a sentence; only appended to."""
    succeeded: bool | None = None
    """None while it runs."""

    @property
    def is_running(self) -> bool:
        return self.succeeded is None


class Rollouts:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.latest: Rollout | None = None

    def start(self, title: str, work: Callable[[Report], str]) -> Rollout:
        """Run `work` in a thread; it takes what reports a step and returns the sentence that ends the timeline.

        Raises:
            BusyError: another one is running.
        """
        with self._lock:
            if self.latest is not None and self.latest.is_running:
                raise BusyError(
                    f"{self.latest.title!r} is still running here; wait until it is done, then try again."
                )
            number = self.latest.number + 1 if self.latest else 1
            self.latest = rollout = Rollout(title=title, number=number, began=time.time())
        # Not a daemon: when the page is stopped, a promotion that has begun is finished first.
        threading.Thread(target=_run, args=(rollout, work), name=title).start()
        return rollout


def _run(rollout: Rollout, work: Callable[[Report], str]) -> None:
    began = time.monotonic()

    def report(step: str) -> None:
        rollout.steps.append((round(time.monotonic() - began, 2), step))

    succeeded = False
    try:
        report(work(report))
        succeeded = True
    except (ServingError, OSError) as error:
        report(str(error))
    except Exception:
        logging.getLogger(__name__).exception("%s failed", rollout.title)
        report("This failed because of a mistake in headswap; the page's output has the details.")
    finally:
        rollout.succeeded = succeeded
