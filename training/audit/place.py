"""What an audit reads: the photos of a folder, or those that a run was trained on, as they lie there now."""

from dataclasses import dataclass
from pathlib import Path

from handlers.images.colour import GreyRange
from handlers.images.limits import DecodeLimits
from handlers.images.preprocessing import Fit
from training.data.photos import ScannedPhotos, scan_photos
from training.data.source import find_folder
from training.errors import AuditError
from training.own_photos import is_gone
from training.run import Run


@dataclass(frozen=True, kw_only=True)
class AuditPlace:
    folder: Path
    labels: Path | None = None
    """The table that has the labels, instead of class folders."""
    unlabeled: Path | None = None
    """A folder of unlabeled photos, which may lie beside the classes."""
    limits: DecodeLimits | None = None
    fit: Fit = "crop"
    grey_range: GreyRange = "full"

    def scan(self) -> ScannedPhotos:
        """Return the photos. Raises DataError."""
        return scan_photos(
            self.folder, labels=self.labels, unlabeled=self.unlabeled, limits=self.limits
        )


def find_place(
    data: Path, *, labels: Path | None = None, limits: DecodeLimits | None = None
) -> AuditPlace:
    """Return the place of a run folder's photos, else of a photo folder's or a dataset's.

    Raises:
        DataError, DownloadError: it is none of these. RunError: the run cannot be read.
        AuditError: its photos are gone.
    """
    run = Run(folder=data)
    if not run.config_path.is_file():
        return AuditPlace(folder=find_folder(data), labels=labels, limits=limits)
    config = run.config()
    if is_gone(config.data):
        raise AuditError(
            f"the photos of the run {str(data)!r} were in {str(config.data)!r}, which does not exist; give their "
            "folder instead of the run."
        )
    return AuditPlace(
        folder=find_folder(config.data),
        labels=labels or config.labels,
        unlabeled=config.unlabeled,
        limits=config.limits,
        fit=config.fit,
        grey_range=config.grey_range,
    )
