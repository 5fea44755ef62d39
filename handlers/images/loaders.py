"""From the bytes of a batch's photos to the pixels of each, or the reason why one has none."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from handlers.errors import ImageTooLargeError, RequestRejectedError
from handlers.images import decoding
from handlers.images.decoding import Bytes, decode_as_stored
from handlers.images.preprocessing import PreprocessingSpec, crop_pixels
from handlers.settings import HandlerSettings

Pixels = TypeVar("Pixels", covariant=True)


class Photo(NamedTuple):
    """The bytes of one photo, and which request of the batch sent it."""

    data: Bytes
    owner: int = 0


class PhotoTiming(NamedTuple):
    """What one decoded photo took, and which request of the batch sent it."""

    owner: int
    format_name: str
    decode_s: float
    preprocess_s: float


class PassTiming(NamedTuple):
    """One pass through the network."""

    image_count: int
    inference_s: float


@dataclass(kw_only=True)
class Timings:
    """What one call measured, for the metrics."""

    photos: list[PhotoTiming] = field(default_factory=list)
    passes: list[PassTiming] = field(default_factory=list)


class DecodeBudget:
    """Seconds each request of a batch may decode for, so that none holds up the others for long."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._spent_s: dict[int, float] = {}

    @contextmanager
    def spend(self, owner: int) -> Iterator[None]:
        """Count the time until the block ends, however it ends.

        Raises:
            ImageTooLargeError: the request's earlier images have used up its time.
        """
        spent_s = self._spent_s.get(owner, 0.0)
        if spent_s >= self._budget_s:
            raise ImageTooLargeError(
                f"the images before this one took the {self._budget_s:g} s a request may decode; "
                "send fewer or smaller ones at once."
            )
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent_s[owner] = spent_s + time.perf_counter() - started


class Loader(Protocol[Pixels]):
    @property
    def name(self) -> str:
        """What the log calls it."""

    def load(
        self, photos: Sequence[Photo], timings: Timings, budget: DecodeBudget
    ) -> Sequence[Pixels | RequestRejectedError]:
        """Return each photo's `(S, S, 3) uint8` pixels or its error."""


class CpuLoader:
    def __init__(self, spec: PreprocessingSpec, settings: HandlerSettings) -> None:
        self._spec = spec
        self._limits = settings.limits
        self.name = "Pillow" if decoding.simplejpeg is None else "simplejpeg"

    def load(
        self, photos: Sequence[Photo], timings: Timings, budget: DecodeBudget
    ) -> list[np.ndarray | RequestRejectedError]:
        return [self.load_one(photo, timings, budget) for photo in photos]

    def load_one(
        self, photo: Photo, timings: Timings, budget: DecodeBudget
    ) -> np.ndarray | RequestRejectedError:
        """Return one photo's `(S, S, 3) uint8` pixels or its error."""
        try:
            with budget.spend(photo.owner):
                return self._load(photo, timings)
        except RequestRejectedError as error:
            return error

    def _load(self, photo: Photo, timings: Timings) -> np.ndarray:
        started = time.perf_counter()
        decoded = decode_as_stored(
            photo.data, shorter_side_px=self._spec.shorter_side_px, limits=self._limits
        )
        cropping = time.perf_counter()
        pixels = crop_pixels(decoded, self._spec)
        timings.photos.append(
            PhotoTiming(
                owner=photo.owner,
                format_name=decoded.format_name,
                decode_s=cropping - started,
                preprocess_s=time.perf_counter() - cropping,
            )
        )
        return pixels
