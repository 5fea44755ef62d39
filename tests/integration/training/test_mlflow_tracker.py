"""Runs in MLflow's own store, read back by its client."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from tests.unit.training.tracking.helpers import lines
from training.config import TrainConfig
from training.evaluation.evaluation import evaluate
from training.evaluation.report import write_report
from training.fit.trainer import train
from training.run import Run, read_json
from training.tracking.mlflow_tracker import BATCH_MAX, MlflowTracker, _without_password
from training.tracking.tracking import track_report

Place = dict[str, str]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of a store: creating its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def store(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Return a client of the store, which MLFLOW_TRACKING_URI names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return MlflowClient(tracking_uri=uri)


def track(place: Place, *epochs: int) -> MlflowTracker:
    tracker = MlflowTracker(
        "first", {"epochs": 3, "labels": ""}, place=place, keep_place=place.update
    )
    tracker.log_epochs(lines(*epochs))
    return tracker


def points(store: MlflowClient, place: Place, name: str) -> list[tuple[int, float]]:
    return [(p.step, round(p.value, 6)) for p in store.get_metric_history(place["run_id"], name)]


def test_a_run_is_followed_continued_and_finished(store: MlflowClient, tmp_path: Path) -> None:
    place: Place = {}
    track(place, 1, 2).close("KILLED")
    first = dict(place)
    run = store.get_run(place["run_id"])
    assert run.info.run_name == "first"
    assert run.info.status == "KILLED"
    assert run.data.params["epochs"] == "3"
    # As after a kill between an epoch's checkpoint and its point: the third is filled in.
    tracker = track(place, 1, 2, 3, 4)
    assert place == first
    assert store.get_run(place["run_id"]).info.status == "RUNNING"
    assert points(store, place, "loss/train") == [(1, 1.0), (2, 0.5), (3, 0.333333), (4, 0.25)]
    assert points(store, place, "learning_rate/backbone")[-1] == (4, 0.002)
    report = tmp_path / "report.html"
    report.write_text("<html></html>")
    for _ in range(2):
        tracker.log_report(report, {"accuracy/test": 0.9}, epoch=4)
        tracker.log_mistakes(Image.new("RGB", (9, 9)), split="test", epoch=4)
    tracker.close("FINISHED")
    assert points(store, place, "accuracy/test") == [(4, 0.9)]
    artifacts = {file.path for file in store.list_artifacts(place["run_id"])}
    assert artifacts == {"report.html", "mistakes"}
    [picture] = store.list_artifacts(place["run_id"], "mistakes")
    assert picture.path == "mistakes/test-epoch-4.png"
    assert store.get_run(place["run_id"]).info.status == "FINISHED"


def test_a_run_that_is_gone_from_the_store_is_logged_as_a_new_one(store: MlflowClient) -> None:
    place: Place = {}
    track(place, 1)
    deleted = place["run_id"]
    store.delete_run(deleted)
    track(place, 1, 2)
    assert place["run_id"] != deleted
    assert [step for step, _ in points(store, place, "accuracy/val")] == [1, 2]
    place["run_id"] = "0" * 32
    track(place, 1)
    assert place["run_id"] != "0" * 32


def test_more_epochs_than_a_call_may_hold_are_all_there(store: MlflowClient) -> None:
    place: Place = {}
    track(place, *range(1, BATCH_MAX // 5))
    assert len(points(store, place, "seconds")) == BATCH_MAX // 5 - 1


def test_the_experiment_is_the_one_that_the_environment_names(
    store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "clothing")
    for _ in range(2):
        place: Place = {}
        track(place, 1)
        experiment = store.get_experiment_by_name("clothing")
        assert store.get_run(place["run_id"]).info.experiment_id == experiment.experiment_id


def test_the_place_is_remembered_without_the_password(
    store: MlflowClient, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Place = {}
    track(place, 1)
    assert place["tracking_uri"] == uri
    # Where the variable is set no more, the run is continued where it is.
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    track(place, 1, 2)
    assert [step for step, _ in points(store, place, "accuracy/val")] == [1, 2]
    assert _without_password("https://me:secret@mlflow:5000/a@b") == "https://mlflow:5000/a@b"


def test_a_training_and_its_report_are_in_mlflow(
    store: MlflowClient, small_config: Callable[..., TrainConfig]
) -> None:
    run = Run(folder=train(small_config(log=("mlflow",))))
    evaluate(run.folder)
    write_report(run.folder)
    warnings: list[str] = []
    track_report(run.folder, warn=warnings.append)
    assert warnings == []
    place = read_json(run.tracking_path)["mlflow"]
    expected = [(line["epoch"], line["val_loss"]) for line in run.history()]
    assert points(store, place, "loss/val") == expected
    accuracy = run.evaluation()["accuracy"]
    assert points(store, place, "accuracy/test") == [(len(expected), round(accuracy, 6))]
    logged = store.get_run(place["run_id"])
    assert logged.info.status == "FINISHED"
    assert logged.data.params["architecture"] == "mobilenet_v3_small"
    assert "report.html" in {file.path for file in store.list_artifacts(place["run_id"])}
