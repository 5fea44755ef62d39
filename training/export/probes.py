"""Probes: photos packed into an archive with the network's probabilities for them, replayed when it is loaded."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handlers.engines.engine import Outputs
from handlers.engines.unknown import UnknownScorer
from training.data.checked import decode_checked
from training.errors import ExportError

COUNT = 4
_HEIC_ENDINGS = {".heic", ".heif", ".hif"}
# Largest difference of a probability allowed when probes are replayed. Float32 engines differ by 1e-6; a GPU computes
# in half precision and its decoder rounds differently.
TOLERANCE = 0.02
# For a quantised network: processors round values halfway between two quantisation steps differently. EfficientNet-B0
# computed in floating point instead of integers differed by 0.08.
INT8_TOLERANCE = 0.1


def choose_probes(evaluation: dict[str, Any]) -> list[Path]:
    """Return a few evaluated photos spread over the classes, portrait and landscape if there are both.

    HEIC is chosen only where there is nothing else: hosts that cannot decode it could not load the archive.

    Raises:
        ExportError: a photo the run was evaluated on cannot be read.
    """
    evaluated = [Path(photo["path"]) for photo in evaluation["photos"]]
    photos = [path for path in evaluated if path.suffix.lower() not in _HEIC_ENDINGS] or evaluated
    try:
        chosen = photos[:: max(1, len(photos) // COUNT)][:COUNT]
        shapes = {_is_portrait(photo) for photo in chosen}
        other = next((photo for photo in photos if _is_portrait(photo) not in shapes), None)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.strerror else str(error)
        raise ExportError(
            f"a photo the run was evaluated on cannot be read ({reason}). If the photos have moved, give --data FOLDER "
            "with their new place; otherwise evaluate the run again."
        ) from None
    return chosen if other is None else [*chosen[:-1], other]


def write_probes(
    index: Path,
    photos: Sequence[Path],
    outputs: Outputs,
    *,
    tolerance: float,
    scorer: UnknownScorer | None = None,
) -> None:
    """Write the photos' probabilities and unknown scores to the file `index`, and the photos to its folder."""
    scores: list[float] = []
    if scorer is not None and outputs.features is not None:
        scores = scorer.scores(outputs.features).tolist()
    index.parent.mkdir(exist_ok=True)
    probes = []
    for number, (photo, row) in enumerate(zip(photos, outputs.probabilities, strict=True)):
        file = f"{number}{photo.suffix.lower()}"
        shutil.copyfile(photo, index.parent / file)
        score = {"unknown_score": scores[number]} if scores else {}
        probes.append({"file": file, "probabilities": row.tolist(), **score})
    index.write_text(json.dumps({"tolerance": tolerance, "probes": probes}, indent=1))


def _is_portrait(photo: Path) -> bool:
    image = decode_checked(photo, shorter_side_px=16)
    return image.height > image.width
