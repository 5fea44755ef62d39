"""Known photos that travel with an archive, and what its network answers to them."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handlers.images.decoding import decode_photo
from training.errors import ExportError

COUNT = 4
# Largest difference of a probability a probe may show at load. Float32 engines differ by 1e-6; a
# GPU computes in half precision and decodes with other rounding.
TOLERANCE = 0.02
# Of a quantised network: where a sum falls on the border of two steps, each processor rounds its own
# way. Computed in floating point instead of whole numbers, EfficientNet-B0 differed by 0.08.
INT8_TOLERANCE = 0.1


def choose_probes(evaluation: dict[str, Any]) -> list[Path]:
    """Return a few judged photos spread over the classes, both an upright and a wide one if any.

    Raises:
        ExportError: a photo the run was judged on is not there any more.
    """
    photos = [Path(photo["path"]) for photo in evaluation["photos"]]
    try:
        chosen = photos[:: max(1, len(photos) // COUNT)][:COUNT]
        shapes = {_is_upright(photo) for photo in chosen}
        other = next((photo for photo in photos if _is_upright(photo) not in shapes), None)
    except OSError as error:
        raise ExportError(
            f"a photo the run was judged on cannot be read ({error}); evaluate the run again."
        ) from None
    return chosen if other is None else [*chosen[:-1], other]


def write_probes(
    index: Path, photos: Sequence[Path], rows: np.ndarray, *, tolerance: float
) -> None:
    """Write the photos' probabilities, `(B, K) float32`, as `index`, and the photos beside it."""
    index.parent.mkdir(exist_ok=True)
    probes = []
    for number, (photo, row) in enumerate(zip(photos, rows, strict=True)):
        file = f"{number}{photo.suffix.lower()}"
        shutil.copyfile(photo, index.parent / file)
        probes.append({"file": file, "probabilities": row.tolist()})
    index.write_text(json.dumps({"tolerance": tolerance, "probes": probes}, indent=1))


def _is_upright(photo: Path) -> bool:
    image = decode_photo(photo.read_bytes(), shorter_side_px=16)
    return image.height > image.width
