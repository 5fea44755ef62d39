"""The photos of a capture folder, each with the last answer that the server gave for it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capture.errors import CaptureError, NotFilledError
from handlers.capture.layout import ANSWERS, PHOTOS


@dataclass(frozen=True, kw_only=True)
class Prediction:
    label: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class CapturedPhoto:
    path: Path
    """In photos/ of the capture folder."""
    time: str
    model: str
    version: str
    reasons: tuple[str, ...]
    """Why it was kept: some of share, below, unknown."""
    predictions: tuple[Prediction, ...]
    """The likeliest first, at least one."""
    outcome: str | None
    unknown_score: float | None
    sent_sha256: str

    @property
    def sha256(self) -> str:
        """Return what the photo is known by in the folder: the sha256 of its file."""
        return self.path.stem

    @property
    def confidence(self) -> float:
        """Return the probability of the likeliest class."""
        return self.predictions[0].probability

    @property
    def is_unknown(self) -> bool:
        return self.outcome == "unknown"


def read_captured(folder: Path) -> list[CapturedPhoto]:
    """Return the captured photos that are still there, oldest answer first; each with its last answer.

    A line that a killed worker left half written is passed by.

    Raises:
        NotFilledError: the folder is not one that `headswap serve --capture` has filled. CaptureError: it cannot be
        read.
    """
    try:
        lines = (folder / ANSWERS).read_bytes().splitlines()
    except FileNotFoundError:
        raise NotFilledError(
            f"{str(folder)!r} holds no captured photos: it has no {ANSWERS}. Give the folder of "
            "`headswap serve --capture FOLDER`, once a photo has been kept."
        ) from None
    except OSError as error:
        raise CaptureError(f"{folder / ANSWERS} cannot be read: {error.strerror}.") from None
    photos: dict[str, CapturedPhoto] = {}
    for line in lines:
        photo = _parse(line, folder)
        if photo is not None:
            photos[photo.sha256] = photo
    return [photo for photo in photos.values() if photo.path.is_file()]


def _parse(line: bytes, folder: Path) -> CapturedPhoto | None:
    try:
        answer: dict[str, Any] = json.loads(line)
        name = str(answer["photo"])
        if Path(name).name != name or name.startswith("."):
            return None
        score = answer.get("unknown_score")
        predictions = tuple(
            Prediction(label=str(each["label"]), probability=float(each["probability"]))
            for each in answer["predictions"]
        )
        if not predictions:
            return None
        return CapturedPhoto(
            path=folder / PHOTOS / name,
            time=str(answer["time"]),
            model=str(answer["model"]),
            version=str(answer["version"]),
            reasons=tuple(map(str, answer["reasons"])),
            predictions=predictions,
            outcome=answer.get("outcome"),
            unknown_score=None if score is None else float(score),
            sent_sha256=str(answer.get("sent_sha256", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
