"""The audit from photos to page and table."""

from collections.abc import Callable
from pathlib import Path

from handlers.errors import PhotoError
from training.audit.audit import Audit, audit_labels
from training.audit.features import PhotoFeatures
from training.audit.page import write_page, write_table_of
from training.audit.place import AuditPlace
from training.data.duplicates import find_near_duplicates
from training.data.photos import is_read
from training.errors import AuditError


def write_audit(
    place: AuditPlace,
    out: Path,
    *,
    apply_command: str,
    seed: int = 0,
    message: Callable[[str], object] = lambda _: None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Audit:
    """Return the audit after writing audit.html and suspects.csv into `out`.

    Raises:
        DataError: the photos cannot be read. AuditError: one vanished meanwhile, or `out` cannot be used.
    """
    if place.labels is None and is_read(out, place.folder):
        raise AuditError(
            f"--out {str(out)!r} is inside {str(place.folder)!r}, where it would be read as photos; give another."
        )
    scanned = place.scan()
    for line in scanned.describe_unread():
        message(line)
    try:
        out.mkdir(parents=True, exist_ok=True)
        features = PhotoFeatures(out, fit=place.fit, grey_range=place.grey_range).of(
            scanned.photos, progress=progress
        )
        audit = audit_labels(
            scanned.photos,
            features,
            class_names=scanned.class_names,
            near_duplicates=find_near_duplicates(scanned.photos),
            seed=seed,
        )
        write_table_of(audit, place.folder, out / "suspects.csv")
        write_page(
            audit,
            place.folder,
            out / "audit.html",
            apply_command=apply_command,
            grey_range=place.grey_range,
        )
    except PhotoError as error:
        raise AuditError(
            f"a photo has changed since it was listed: {error} Run the audit again."
        ) from None
    except OSError as error:
        raise AuditError(
            f"{error.filename or out} cannot be read or written: {error.strerror}. Run the audit again once that is "
            "mended."
        ) from None
    return audit
