"""From the bytes of a batch's photos to the pixels of each, or to the error that explains why it has none."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from handlers.errors import ImageTooLargeError, RequestRejectedError
from handlers.images import jpeg
from handlers.images.decoding import Bytes, decode_as_stored
from handlers.images.limits import DecodeLimits
from handlers.images.preprocessing import PreprocessingSpec, crop_pixels

Pixels = TypeVar("Pixels", covariant=True)


class EncodedPhoto(NamedTuple):
    """The bytes of one photo, and the index in the batch of the request that sent it."""

    data: Bytes
    request_index: int = 0


class PhotoTiming(NamedTuple):
    """How long one photo took, and the index in the batch of the request that sent it."""

    request_index: int
    format_name: str
    decode_s: float
    preprocess_s: float


class PassTiming(NamedTuple):
    """How long one forward pass of the network took."""

    image_count: int
    inference_s: float


@dataclass(kw_only=True)
class Timings:
    """What was measured while one batch was classified, for the metrics."""

    photos: list[PhotoTiming] = field(default_factory=list)
    passes: list[PassTiming] = field(default_factory=list)


class DecodeBudget:
    """Seconds that each request of a batch may spend on decoding, so that none delays the others for long."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._spent_s: dict[int, float] = {}

    @contextmanager
    def spend(self, request_index: int) -> Iterator[None]:
        """Charge the time the block takes to the request, whether or not the block raises.

        Raises:
            ImageTooLargeError: the request's earlier images have used up its budget.
        """
        spent_s = self._spent_s.get(request_index, 0.0)
        if spent_s >= self._budget_s:
            raise ImageTooLargeError(
                f"the images before this one took up the {self._budget_s:g} s of decoding a request may use; "
                "send fewer or smaller images at once."
            )
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent_s[request_index] = spent_s + time.perf_counter() - started


class Loader(Protocol[Pixels]):
    @property
    def name(self) -> str:
        """Its name in the log."""

    def load(
        self, photos: Sequence[EncodedPhoto], timings: Timings, budget: DecodeBudget
    ) -> Sequence[Pixels | RequestRejectedError]:
        """Return each photo's `(S, S, 3) uint8` pixels or its error."""


class CpuLoader:
    """Decodes and crops with Pillow, or with simplejpeg where it is installed."""

    def __init__(self, spec: PreprocessingSpec, limits: DecodeLimits) -> None:
        self._spec = spec
        self._limits = limits
        self.name = "Pillow" if jpeg.simplejpeg is None else "simplejpeg"

    def load(
        self, photos: Sequence[EncodedPhoto], timings: Timings, budget: DecodeBudget
    ) -> list[np.ndarray | RequestRejectedError]:
        """Return each photo's `(S, S, 3) uint8` pixels or its error."""
        return [self.load_one(photo, timings, budget) for photo in photos]

    def load_one(
        self, photo: EncodedPhoto, timings: Timings, budget: DecodeBudget
    ) -> np.ndarray | RequestRejectedError:
        """Return one photo's `(S, S, 3) uint8` pixels or its error."""
        try:
            with budget.spend(photo.request_index):
                return self._load(photo, timings)
        except RequestRejectedError as error:
            return error

    def _load(self, photo: EncodedPhoto, timings: Timings) -> np.ndarray:
        started = time.perf_counter()
        decoded = decode_as_stored(
            photo.data,
            shorter_side_px=self._spec.shorter_side_px,
            limits=self._limits,
            grey_range=self._spec.grey_range,
        )
        cropping = time.perf_counter()
        pixels = crop_pixels(decoded, self._spec)
        timings.photos.append(
            PhotoTiming(
                request_index=photo.request_index,
                format_name=decoded.format_name,
                decode_s=cropping - started,
                preprocess_s=time.perf_counter() - cropping,
            )
        )
        return pixels
