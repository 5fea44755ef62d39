"""Options of `headswap serve` for keeping photos to label, and the settings made from them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headswap.errors import ArgumentError

if TYPE_CHECKING:
    from handlers.capture.settings import CaptureSettings


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """Photos to keep for labelling. Nothing is kept without --capture; headswap review says what to label next."""

    capture: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Keep photos and their answers in this folder, without their EXIF data."""
    capture_share: float = 0.01
    """Share of all photos to keep, chosen at random."""
    capture_below: float = 0.6
    """Keep photos whose likeliest class has a lower probability; 0 for none."""
    capture_unknown: bool = False
    """Keep photos whose outcome is unknown: like none of the classes."""
    capture_max_mb: int = 2000
    """Megabytes of photos to keep; beyond it the oldest go."""
    capture_keep_days: float = 30
    """Days to keep a photo. Labelled ones stay."""
    capture_exif: bool = False
    """Keep EXIF data too, such as place and camera."""

    def settings(self) -> "CaptureSettings | None":
        """Return the settings, their folder created; None without --capture.

        Raises:
            ArgumentError: a number is out of its range, or the folder cannot be written to.
        """
        from handlers.capture.settings import CaptureSettings

        if self.capture is None:
            return None
        try:
            settings = CaptureSettings(
                folder=str(self.capture.absolute()),
                share=self.capture_share,
                below=self.capture_below,
                unknown=self.capture_unknown,
                max_mb=self.capture_max_mb,
                keep_days=self.capture_keep_days,
                exif=self.capture_exif,
            )
            # What clients send is nobody else's business.
            self.capture.mkdir(mode=0o700, parents=True, exist_ok=True)
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        except OSError as error:
            raise ArgumentError(
                f"--capture {str(self.capture)!r} cannot be created: {error.strerror}."
            ) from None
        if not os.access(self.capture, os.W_OK | os.X_OK):
            raise ArgumentError(f"--capture {str(self.capture)!r} cannot be written to.")
        return settings
