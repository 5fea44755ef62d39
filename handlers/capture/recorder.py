"""Chooses the photos to keep, and hands them to a thread that writes them: no answer waits for the disk."""

import logging
import os
import queue
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from handlers.capture.folder import CaptureFolder
from handlers.capture.settings import CaptureSettings
from handlers.capture.stripping import strip_metadata, suffix_of
from handlers.errors import PhotoError
from handlers.model_card import ModelCard

logger = logging.getLogger(__name__)

# Of photos that wait for the disk; what comes on top is dropped.
QUEUE_PHOTOS = 64
QUEUE_BYTES = 64_000_000
# Photos too old go even while no new ones come; and how often the log says why photos are dropped.
CLEAN_EVERY_S = 600.0
LOG_EVERY_S = 60.0

CAPTURED, DROPPED, BYTES = (
    "handler_captured_total",
    "handler_capture_dropped_total",
    "handler_captured_bytes_total",
)


class Counts(Protocol):
    def count(self, name: str, value: int) -> None:
        """Add to a counter of the model."""


class _Offer(NamedTuple):
    data: bytes
    answer: Mapping[str, Any]


class Recorder:
    """Keeps photos of one model, of whichever of its versions."""

    def __init__(
        self,
        settings: CaptureSettings,
        card: ModelCard,
        counts: Counts,
        *,
        random_source: random.Random | None = None,
    ) -> None:
        self._settings, self._card, self._counts = settings, card, counts
        # Seeded by the system: workers that start together would otherwise choose alike.
        self._random = random_source or random.Random(os.urandom(16))
        self._queue: queue.Queue[_Offer] = queue.Queue(QUEUE_PHOTOS)
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._folder: CaptureFolder | None = None
        self._logged_s = -LOG_EVERY_S
        threading.Thread(target=self._write_forever, name="capture", daemon=True).start()

    def offer(self, data: bytes | bytearray | memoryview, result: Mapping[str, Any]) -> None:
        """Keep the photo if it is one to keep, later; `result` is what the response says of it, with five classes."""
        predictions = result.get("predictions")
        if not predictions:
            return
        reasons = self._reasons(predictions[0]["probability"], result.get("outcome"))
        if not reasons:
            return
        answer = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "model": self._card.name,
            "version": self._card.version,
            "reasons": reasons,
            "predictions": predictions,
            "outcome": result.get("outcome"),
            "unknown_score": result.get("unknown_score"),
        }
        self._enqueue(data, answer)

    def _reasons(self, probability: float, outcome: str | None) -> list[str]:
        reasons = ["share"] if self._random.random() < self._settings.share else []
        if probability < self._settings.below:
            reasons.append("below")
        if self._settings.unknown and outcome == "unknown":
            reasons.append("unknown")
        return reasons

    def _enqueue(self, data: bytes | bytearray | memoryview, answer: Mapping[str, Any]) -> None:
        size_bytes = len(data)
        with self._lock:
            is_full = self._waiting_bytes + size_bytes > QUEUE_BYTES
            if not is_full:
                self._waiting_bytes += size_bytes
        if not is_full:
            try:
                self._queue.put_nowait(_Offer(bytes(data), answer))
                return
            except queue.Full:
                self._release(size_bytes)
        self._counts.count(DROPPED, 1)

    def _release(self, size_bytes: int) -> None:
        with self._lock:
            self._waiting_bytes -= size_bytes

    def _write_forever(self) -> None:
        cleaned_s = time.monotonic()
        while True:
            try:
                offer = self._queue.get(timeout=CLEAN_EVERY_S)
            except queue.Empty:
                offer = None
            try:
                if self._folder is None:
                    self._folder = CaptureFolder(self._settings)
                if offer is not None:
                    self._write(self._folder, offer)
                if time.monotonic() - cleaned_s > CLEAN_EVERY_S:
                    cleaned_s = time.monotonic()
                    self._folder.remove_old()
            # Whatever goes wrong with one photo, or with the disk, the next one is tried.
            except Exception as error:
                if offer is not None:
                    self._counts.count(DROPPED, 1)
                self._log(error)
            finally:
                if offer is not None:
                    self._release(len(offer.data))
                    self._queue.task_done()

    def _write(self, folder: CaptureFolder, offer: _Offer) -> None:
        data = offer.data
        if self._settings.exif:
            photo, suffix = data, suffix_of(data)
        else:
            photo, suffix = strip_metadata(data, grey_range=self._card.preprocessing.grey_range)
        answer = {"sent_sha256": sha256(data).hexdigest(), **offer.answer}
        if folder.add(photo, suffix, answer):
            self._counts.count(CAPTURED, 1)
            self._counts.count(BYTES, len(photo))

    def flush(self) -> None:
        """Wait until every photo that was offered so far is written or dropped."""
        self._queue.join()

    def _log(self, error: Exception) -> None:
        if time.monotonic() - self._logged_s < LOG_EVERY_S:
            return
        self._logged_s = time.monotonic()
        if isinstance(error, (OSError, PhotoError)):
            logger.warning(
                "A photo could not be kept in %s: %s.", self._settings.folder, str(error)[:300]
            )
        else:
            logger.exception("A photo could not be kept in %s.", self._settings.folder)
