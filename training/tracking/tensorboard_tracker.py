"""A run as TensorBoard's event files in its own folder: `tensorboard --logdir runs` lists it by its name."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.tracking.tracker import Status, points_of

EVERY_EPOCH = "accuracy/val"


class TensorBoardTracker:
    def __init__(
        self, folder: Path, settings: Mapping[str, Any], *, finished_epochs: int | None
    ) -> None:
        """Continue the curves after so many epochs; None hides those of a run that was in this folder before."""
        # Imported late: an optional package, and seconds.
        from torch.utils.tensorboard import SummaryWriter

        done = finished_epochs or 0
        self._logged = {step for step in read_steps(folder, EVERY_EPOCH) if step <= done}
        _wait_for_a_later_name(folder)
        purge_step = 0 if finished_epochs is None else done + 1
        self._writer = SummaryWriter(str(folder), purge_step=purge_step)
        if finished_epochs is None:
            self._writer.add_text("settings", _table(settings))

    def log_epochs(self, history: Sequence[Mapping[str, Any]]) -> None:
        for line in history:
            if line["epoch"] not in self._logged:
                for name, value in points_of(line).items():
                    self._writer.add_scalar(name, value, line["epoch"])
                self._logged.add(line["epoch"])
        self._writer.flush()

    def log_mistakes(self, sheet: Image.Image, *, split: str, epoch: int) -> None:
        self._writer.add_image(f"mistakes/{split}", np.asarray(sheet), epoch, dataformats="HWC")
        self._writer.flush()

    def log_report(self, report: Path, figures: Mapping[str, float], *, epoch: int) -> None:
        self._writer.add_text("report", f"{report}\n\n{_table(figures)}", epoch)
        folder = Path(self._writer.log_dir)
        for name, value in figures.items():
            if epoch not in read_steps(folder, name):
                self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self, _: Status) -> None:
        self._writer.close()


def _wait_for_a_later_name(folder: Path) -> None:
    """Return once a new event file sorts behind those of the folder, after a second at most.

    TensorBoard reads files in the order of their names, `events.out.tfevents.SECOND.HOST.PROCESS`. A run killed and
    resumed within a second lost points: those of the file that sorted first.
    """
    begun_s = {int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*")}
    now_s = time.time()
    if int(now_s) in begun_s:
        time.sleep(int(now_s) + 1 - now_s)


def read_steps(folder: Path, name: str) -> set[int]:
    """Return the steps of a scalar that the folder's event files hold; what is broken at their end does not count."""
    from tensorboard.backend.event_processing.event_accumulator import (
        SCALARS,
        EventAccumulator,
    )

    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    return (
        {event.step for event in events.Scalars(name)} if name in events.scalars.Keys() else set()
    )


def _table(values: Mapping[str, Any]) -> str:
    """Return the values as a Markdown table."""
    rows = [f"| {name} | {value} |" for name, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows])
