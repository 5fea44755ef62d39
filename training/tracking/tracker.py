"""Where a run can be followed: one Protocol, and what is needed for each.

A tracker may fail in any way; BackgroundTracker turns that into a warning. The files of the run folder are what counts,
so a tracker always gets the whole history and adds what it lacks.
"""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from PIL import Image

from training.config import LogTarget
from training.errors import ConfigError

Status = Literal["FINISHED", "FAILED", "KILLED"]

# MLflow's client needs SQLAlchemy for its default store, a file, but not for a server.
PACKAGES: Mapping[LogTarget, tuple[str, ...]] = {
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
}
SERVER_SCHEMES = ("http://", "https://", "databricks")


class Tracker(Protocol):
    def log_epochs(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Add the points that are missing, given all lines of metrics.jsonl."""

    def log_mistakes(self, sheet: Image.Image, *, split: str, epoch: int) -> None:
        """Add a picture of photos of the split that the network after this epoch gets wrong."""

    def log_report(self, report: Path, figures: Mapping[str, float], *, epoch: int) -> None:
        """Add the report and its figures."""

    def close(self, status: Status) -> None:
        """Finish; the run may be continued later."""


def check_installed(targets: Sequence[LogTarget]) -> None:
    """Check that the packages of these targets are there.

    Raises:
        ConfigError: one is missing.
    """
    for target in targets:
        for package in _needed(target):
            if find_spec(package) is None:
                raise ConfigError(
                    f"--log {target} needs the package {package!r}, which is not installed: "
                    "pip install 'headswap[host,tracking]', or leave --log out."
                )


def _needed(target: LogTarget) -> tuple[str, ...]:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return PACKAGES[target][:1] if uri.startswith(SERVER_SCHEMES) else PACKAGES[target]


def points_of(line: Mapping[str, Any]) -> dict[str, float]:
    """Return what is drawn of a line of metrics.jsonl, by name; the step is its epoch."""
    rates = line.get("learning_rates") or {"head": line["learning_rate"]}
    return {
        "loss/train": line["train_loss"],
        "loss/val": line["val_loss"],
        "accuracy/val": line["val_accuracy"],
        **{f"learning_rate/{part}": rate for part, rate in rates.items()},
        "seconds": line["seconds"],
    }
