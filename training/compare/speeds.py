"""Serving speed of a run's archive, measured in this process: the handler's engine without the server."""

import statistics
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from handlers.engines.cpu_choice import choose_cpu_engine
from handlers.extracted import open_extracted
from handlers.images.preprocessing import load_pixels
from handlers.settings import HandlerSettings
from training.export.archive import export_archive
from training.run import Run

PHOTO_COUNT = 40
ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class ServingSpeed:
    photos_per_s: float
    archive_bytes: int


def measure_serving_speed(run_folder: Path) -> ServingSpeed:
    """Return photos/s of one thread, from file bytes to probabilities (median of 5 rounds), and the archive's size.

    Raises:
        RunError: not a finished and evaluated run. ExportError: the archive could not be made.
    """
    paths = [Path(photo["path"]) for photo in Run(folder=run_folder).evaluation()["photos"]]
    photos = [path.read_bytes() for path in paths[:PHOTO_COUNT]]
    with tempfile.TemporaryDirectory() as work:
        packed = export_archive(run_folder, name="compared", version="1", model_store=Path(work))
        with zipfile.ZipFile(packed) as archive_file:
            archive_file.extractall(Path(work, "archive"))
        archive = open_extracted(Path(work, "archive"))
        engine = choose_cpu_engine(archive, HandlerSettings(threads_per_worker=1))
        rounds_s = []
        for _ in range(1 + ROUNDS):
            began = time.perf_counter()
            for photo in photos:
                engine.probabilities([load_pixels(photo, archive.card.preprocessing)])
            rounds_s.append(time.perf_counter() - began)
        # The first round warms up.
        speed = len(photos) / statistics.median(rounds_s[1:])
        return ServingSpeed(photos_per_s=round(speed, 1), archive_bytes=packed.stat().st_size)
