"""The last 30 minutes of the metrics page, in memory: what was counted between one look and the next."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from serving.errors import ServingError, UnreachableError
from serving.rollout.metrics_page import Counts, handler_samples, parse_counts
from serving.rollout.session import ServerSession

INTERVAL_S = 5.0
KEPT_S = 30 * 60.0
Key = tuple[str, str]
"""Model and version."""


@dataclass(kw_only=True)
class Answers:
    """What one version has answered since it was loaded."""

    labels: Counter[str] = field(default_factory=Counter)
    """Photos by their likeliest class."""
    confidence_sum: float = 0.0
    confidence_count: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    time: float
    """Unix time in seconds."""
    counts: Mapping[Key, Counts]
    answers: Mapping[Key, Answers]
    queued: int
    """Requests that no worker has taken yet."""
    ready_workers: int
    workers: int


def parse_answers(text: str) -> dict[Key, Answers]:
    """Return the answers by model and version from the text of the metrics page."""
    answers: dict[Key, Answers] = {}
    for key, sample in handler_samples(text):
        entry = answers.setdefault(key, Answers())
        if sample.name == "handler_predictions_total":
            entry.labels[sample.labels["label"]] += int(sample.value)
        elif sample.name == "handler_confidence_sum":
            entry.confidence_sum += sample.value
        elif sample.name == "handler_confidence_count":
            entry.confidence_count += sample.value
    return answers


def take_sample(session: ServerSession, *, now: float) -> Sample:
    """Return how the server is doing now.

    Raises:
        RequestError, NoServerError: it does not answer. ValueError: its metrics page cannot be parsed.
    """
    management = session.http.management
    loaded = [
        version for model in management.models() for version in management.versions(model).values()
    ]
    text = session.read_metrics()
    return Sample(
        time=now,
        counts=parse_counts(text),
        answers=parse_answers(text),
        queued=sum(version.pending_requests for version in loaded),
        ready_workers=sum(len(version.ready_pids) for version in loaded),
        workers=sum(version.min_workers for version in loaded),
    )


class History:
    """Looks every 5 s until it is stopped; `samples` may be read by other threads."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=int(KEPT_S / INTERVAL_S) + 1)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.problem = "No look at the server yet."
        """Why the latest look failed; empty if it did not."""

    @property
    def samples(self) -> list[Sample]:
        with self._lock:
            return list(self._samples)

    def look(self, session: ServerSession) -> None:
        """Take one sample; where the server does not answer, keep the reason instead."""
        try:
            sample = take_sample(session, now=self._clock())
        except (ServingError, OSError, ValueError) as error:
            off = isinstance(error, UnreachableError) and "/metrics" in str(error)
            self.problem = f"{'The metrics address is off: ' if off else ''}{error}"
            return
        self.problem = ""
        with self._lock:
            self._samples.append(sample)

    def start(self, session: ServerSession) -> None:
        threading.Thread(target=self._run, args=(session,), name="history", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self, session: ServerSession) -> None:
        while True:
            self.look(session)
            if self._stopping.wait(INTERVAL_S):
                return
