"""What an audit leaves in its folder: audit.html to look at, and suspects.csv to correct and apply."""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from handlers.errors import PhotoError
from handlers.images.colour import GreyRange
from reports.page import render
from storage import atomic_write
from training.audit.audit import Audit, Suspect
from training.audit.fixes import named_path
from training.audit.tables import write_table
from training.data.checked import decode_checked

TEMPLATE = Path(__file__).parent / "templates" / "audit.html.j2"
THUMBNAIL_SIDE_PX = 200
# Of each kind: 300 thumbnails are 3 MB. The table holds all.
SHOWN_MAX = 300
COLUMNS = ("path", "label", "given_label", "reason", "probability", "copy")


def write_table_of(audit: Audit, folder: Path, target: Path) -> None:
    """Write suspects.csv: `label` is the suggestion, and what applying the table gives the photo. Raises OSError."""
    rows = [
        (
            named_path(suspect.photo.path, folder),
            audit.class_names[suspect.suggested],
            audit.class_names[suspect.photo.label],
            suspect.reason,
            f"{suspect.probability:.3f}",
            named_path(suspect.copy.path, folder) if suspect.copy else "",
        )
        for suspect in audit.suspects
    ]
    atomic_write(target, write_table([COLUMNS, *rows]))


def write_page(
    audit: Audit, folder: Path, target: Path, *, apply_command: str, grey_range: GreyRange = "full"
) -> None:
    """Write audit.html. Raises OSError."""
    kinds = {reason: audit.of(reason) for reason in ("label", "duplicate", "outlier")}
    page = render(
        TEMPLATE,
        audit=audit,
        folder=folder,
        apply_command=apply_command,
        counts={reason: len(suspects) for reason, suspects in kinds.items()},
        shown={
            reason: list(_shown(audit, folder, suspects[:SHOWN_MAX], grey_range))
            for reason, suspects in kinds.items()
        },
    )
    # A file's name may be bytes that are not UTF-8.
    atomic_write(target, page.encode(errors="replace"))


def _shown(
    audit: Audit, folder: Path, suspects: Sequence[Suspect], grey_range: GreyRange
) -> Iterator[dict[str, Any]]:
    for suspect in suspects:
        copy = suspect.copy
        yield {
            "path": named_path(suspect.photo.path, folder),
            "image": _thumbnail(suspect.photo.path, grey_range),
            "given": audit.class_names[suspect.photo.label],
            "suggested": audit.class_names[suspect.suggested],
            "probability": suspect.probability,
            "given_probability": suspect.given_probability,
            "copy": named_path(copy.path, folder) if copy else "",
            "copy_image": _thumbnail(copy.path, grey_range) if copy else None,
        }


def _thumbnail(path: Path, grey_range: GreyRange) -> str | None:
    """Return a data URL; None if the photo has vanished or changed since."""
    try:
        image = decode_checked(path, shorter_side_px=THUMBNAIL_SIDE_PX, grey_range=grey_range)
    except (OSError, PhotoError):
        return None
    image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
