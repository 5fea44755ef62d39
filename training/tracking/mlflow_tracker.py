"""A run in MLflow: on the server of MLFLOW_TRACKING_URI, or where MLflow itself keeps runs, mlflow.db and mlruns/.

MLflow's fluent API would hold the program's one active run; its client can log to any.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from training.tracking.tracker import Status, points_of

METRIC_OF_EVERY_EPOCH = "accuracy/val"
# MLflow's own defaults wait for a server for minutes, where BackgroundTracker tries again anyway, and send usage data.
# What the user has set is kept.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# MLflow's limits: of a value, and of the values of one call.
PARAM_CHARACTERS_MAX = 6000
BATCH_MAX = 1000


class MlflowTracker:
    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        *,
        place: Mapping[str, str],
        keep_place: Callable[[dict[str, str]], None],
    ) -> None:
        """Continue the run of `place`, or create one of this name and pass its place to `keep_place`."""
        for key, value in DEFAULTS.items():
            os.environ.setdefault(key, value)
        # Imported late: an optional package, and seconds.
        import mlflow
        from mlflow.tracking import MlflowClient

        # A new mlflow.db is worth no lines of its own.
        for logger in ("mlflow", "alembic"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        uri = os.environ.get("MLFLOW_TRACKING_URI") or place.get("tracking_uri")
        uri = uri or mlflow.get_tracking_uri()
        self._client = MlflowClient(tracking_uri=uri)
        self._run_id = self._find(place.get("run_id"))
        if not self._run_id:
            self._run_id = self._create(name, settings)
            keep_place({"tracking_uri": _without_password(uri), "run_id": self._run_id})
        points = self._client.get_metric_history(self._run_id, METRIC_OF_EVERY_EPOCH)
        self._logged = {point.step for point in points}

    def _find(self, run_id: str | None) -> str:
        """Return the run's id if the store has it: it may have been deleted there, or be on another server."""
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return ""
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ""
        return run_id if run.info.lifecycle_stage == "active" else ""

    def _create(self, name: str, settings: Mapping[str, Any]) -> str:
        from mlflow.entities import Param

        tags = {"mlflow.source.name": "headswap train"}
        run = self._client.create_run(self._experiment_id(), run_name=name, tags=tags)
        run_id: str = run.info.run_id
        params = [
            Param(key, str(value)[:PARAM_CHARACTERS_MAX] or "''") for key, value in settings.items()
        ]
        self._client.log_batch(run_id, params=params)
        return run_id

    def _experiment_id(self) -> str:
        """Return the experiment of MLFLOW_EXPERIMENT_ID or MLFLOW_EXPERIMENT_NAME, else MLflow's default."""
        if experiment_id := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return experiment_id
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
        experiment = self._client.get_experiment_by_name(name)
        return str(experiment.experiment_id if experiment else self._client.create_experiment(name))

    def log_epochs(self, history: Sequence[Mapping[str, Any]]) -> None:
        from mlflow.entities import Metric

        missing = [line for line in history if line["epoch"] not in self._logged]
        now_ms = time.time_ns() // 1_000_000
        # Whole epochs in a call, so that each is logged as a whole or not at all.
        per_call = BATCH_MAX // max((len(points_of(line)) for line in missing), default=1)
        for start in range(0, len(missing), per_call):
            part = missing[start : start + per_call]
            metrics = [
                Metric(name, value, now_ms, line["epoch"])
                for line in part
                for name, value in points_of(line).items()
            ]
            self._client.log_batch(self._run_id, metrics=metrics)
            self._logged |= {line["epoch"] for line in part}
        if missing:
            self._client.update_run(self._run_id, status="RUNNING")

    def log_mistakes(self, sheet: Image.Image, *, split: str, epoch: int) -> None:
        file = f"mistakes/{split}-epoch-{epoch}.png"
        self._client.log_image(self._run_id, sheet, artifact_file=file)

    def log_report(self, report: Path, figures: Mapping[str, float], *, epoch: int) -> None:
        self._client.log_artifact(self._run_id, str(report))
        for name, value in figures.items():
            # Evaluated again with the same result, it is the same point.
            points = self._client.get_metric_history(self._run_id, name)
            if all((point.step, point.value) != (epoch, value) for point in points):
                self._client.log_metric(self._run_id, name, value, step=epoch)

    def close(self, status: Status) -> None:
        self._client.set_terminated(self._run_id, status)


def _without_password(uri: str) -> str:
    """Return the URI without user and password, which belong in no run folder."""
    return re.sub(r"(?<=://)[^/@]*@", "", uri)
