"""What an improvement starts from: the live version, and the run it was exported from, known by its weights' sha256."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from headswap.errors import ArgumentError

if TYPE_CHECKING:
    from serving.archive.reader import Archive
    from training.run import Run

# Runs lie in runs/NAME, those of improvements in improvements/VERSION/run, and those of comparisons one deeper.
DEPTHS = ("*", "*/*", "*/*/*")


@dataclass(frozen=True, kw_only=True)
class LiveVersion:
    name: str
    version: str
    archive: Path
    class_names: tuple[str, ...]
    """In NFC, as the classes of folders are read."""
    weights_sha256: str
    data_fingerprint: str
    training_run: str
    """The name of the run's folder when it was exported."""
    precision: str
    model_config: bytes
    """Its model-config.yaml: what was tuned for this host stays."""


def read_live(archive: "Archive") -> LiveVersion:
    """Return what the archive says of its origin. Raises ArchiveError for a damaged one."""
    from handlers.contract import MODEL_CARD_FILE, MODEL_CONFIG_FILE
    from serving.archive.reader import open_packed

    with open_packed(archive.path) as packed:
        card = json.loads(packed.read(MODEL_CARD_FILE))
        return LiveVersion(
            name=archive.name,
            version=archive.version,
            archive=archive.path,
            class_names=tuple(normalize("NFC", name) for name in archive.class_names),
            weights_sha256=str(card["weights_sha256"]),
            data_fingerprint=str(card["data_fingerprint"]),
            training_run=str(card["training_run"]),
            precision=str(card["precision"]),
            model_config=packed.read(MODEL_CONFIG_FILE),
        )


def find_run(live: LiveVersion, given: Path | None, places: Sequence[Path]) -> "Run":
    """Return the run of the live version: `given`, or the one in `places` that has its weights.

    Raises:
        ArgumentError: there is none, `given` has other weights, or the run's photos are gone.
        RunError: `given` is not a run folder.
    """
    from training.own_photos import is_gone
    from training.run import Run, open_finished_run

    label = f"{live.name} {live.version}"
    if given is not None:
        run = open_finished_run(given)
        if not _has_weights(run, live):
            raise ArgumentError(
                f"--run {str(given)!r} is not the run that {label} was exported from: its weights have another sha256. "
                "Give that run, or leave --run out to have it looked for."
            )
    else:
        runs = (Run(folder=folder) for folder in _run_folders(places))
        own = next((run for run in runs if _has_weights(run, live)), None)
        if own is None:
            raise ArgumentError(
                f"no run in {', '.join(map(str, places))} has the weights of {label}, which was exported from a run "
                f"called {live.training_run!r}; give --run with the place it has moved to. If it is gone, train and "
                "promote a version first."
            )
        run = own
    data = run.config().data
    if is_gone(data):
        raise ArgumentError(
            f"the photos of the run {str(run.folder)!r} were in {str(data)!r}, which does not exist. If they have "
            f"moved, run `headswap evaluate {run.folder} --data FOLDER` with their new place first."
        )
    return run


def _run_folders(places: Sequence[Path]) -> Iterator[Path]:
    """Yield each folder that holds a trained run, once."""
    seen: set[Path] = set()
    for place in places:
        for depth in DEPTHS:
            for config in sorted(place.glob(f"{depth}/config.json")):
                folder = config.parent
                if folder.resolve() not in seen:
                    seen.add(folder.resolve())
                    yield folder


def _has_weights(run: "Run", live: LiveVersion) -> bool:
    from storage import sha256_of
    from training.errors import RunError

    # The fingerprint is read in no time, and a folder may hold hundreds of runs.
    with suppress(RunError, OSError):
        is_of_data = run.data().get("fingerprint") == live.data_fingerprint
        return is_of_data and sha256_of(run.best_path) == live.weights_sha256
    return False
