"""The last 30 minutes of the metrics page, in memory: what was counted between one look and the next."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.samples import Sample as Metric

from page.errors import as_sentence, sentence_of
from serving.errors import ServingError, UnreachableError
from serving.rollout.metrics_page import Counts, count_samples, handler_samples
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

    @property
    def confidence(self) -> float | None:
        """Return the mean confidence, 0..1; None where there is none."""
        return self.confidence_sum / self.confidence_count if self.confidence_count else None

    def since(self, before: "Answers") -> "Answers":
        """Return what was answered after `before`; a version that was loaded anew since then began at 0."""
        if before.labels.total() > self.labels.total():
            return self
        return Answers(
            labels=self.labels - before.labels,
            confidence_sum=self.confidence_sum - before.confidence_sum,
            confidence_count=self.confidence_count - before.confidence_count,
        )


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


def count_answers(samples: Iterable[tuple[Key, Metric]]) -> dict[Key, Answers]:
    """Return the answers by model and version of what `handler_samples` yields."""
    answers: dict[Key, Answers] = {}
    for key, sample in samples:
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
    metrics = list(handler_samples(session.read_metrics()))
    return Sample(
        time=now,
        counts=count_samples(metrics),
        answers=count_answers(metrics),
        queued=sum(version.pending_requests for version in loaded),
        ready_workers=sum(len(version.ready_pids) for version in loaded),
        workers=sum(version.min_workers for version in loaded),
    )


def _describe(error: Exception) -> str:
    if isinstance(error, UnreachableError) and "/metrics" in str(error):
        # Asked last: everything else has answered.
        return f"The metrics address is off: {error}"
    return sentence_of(error) if isinstance(error, ServingError) else as_sentence(str(error))


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
            self.problem = _describe(error)
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
            try:
                self.look(session)
            except Exception:
                # A server that is half started may answer anything; the thread has to see it recover.
                logging.getLogger(__name__).exception("the look at the server failed")
                self.problem = "The server's answer was not understood."
            if self._stopping.wait(INTERVAL_S):
                return
