"""What a training and an evaluation tell the trackers of their run; nothing where none were asked for."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch

from handlers.errors import PhotoError
from training.config import LogTarget, TrainConfig
from training.data.dataset import preprocessing_of
from training.data.photos import Photo
from training.distributed import ProcessGroup
from training.errors import InterruptedRunError
from training.evaluation.evaluation import compute_logits, load_network
from training.run import Run, open_finished_run, read_json, write_json
from training.tracking.background import BackgroundTracker
from training.tracking.mistakes import Mistake, draw_mistakes
from training.tracking.mlflow_tracker import MlflowTracker
from training.tracking.tensorboard_tracker import TensorBoardTracker
from training.tracking.tracker import Status, Tracker

Warn = Callable[[str], None]
_PLACES = threading.Lock()
# Of evaluation.json, that are logged with the report.
FIGURES = ("accuracy", "macro_f1", "calibration_error")


class Tracking:
    """The trackers of a run in training."""

    def __init__(
        self, run: Run, trackers: Sequence[BackgroundTracker], *, finished_epochs: int, warn: Warn
    ) -> None:
        self._run, self._trackers, self._warn = run, trackers, warn
        self._finished_epochs = finished_epochs

    def log_epoch(self, line: Mapping[str, Any]) -> None:
        """Log a finished epoch, given its line of metrics.jsonl."""
        for tracker in self._trackers:
            tracker.log_epoch(line)

    def log_mistakes(self, photos: Sequence[Photo]) -> None:
        """Log the val photos that the best network gets wrong, if it has been trained since the run was tracked."""
        epochs = len(self._run.history())
        if not self._trackers or epochs == self._finished_epochs:
            return
        try:
            sheet = draw_mistakes(_mistakes(self._run, photos))
        except (PhotoError, OSError) as error:
            self._warn(f"warning: no photos of mistakes are logged: {error}")
            return
        if sheet is not None:
            for tracker in self._trackers:
                tracker.call(lambda t: t.log_mistakes(sheet, split="val", epoch=epochs))


@contextmanager
def track_training(
    run: Run, config: TrainConfig, group: ProcessGroup, *, warn: Warn
) -> Iterator[Tracking]:
    """Yield what logs the run wherever its config asks for; of several processes, in process 0 alone."""
    history = run.history() if config.log and group.is_rank_zero else []
    tracking = Tracking(run, (), finished_epochs=len(history), warn=warn)
    if not config.log or not group.is_rank_zero:
        yield tracking
        return
    if not config.resume:
        run.tracking_path.unlink(missing_ok=True)
    finished = len(history) if config.resume else None
    trackers = [
        BackgroundTracker(target, partial(_make, target, run, finished_epochs=finished), warn)
        for target in dict.fromkeys(config.log)
    ]
    tracking = Tracking(run, trackers, finished_epochs=len(history), warn=warn)
    for line in history:
        tracking.log_epoch(line)
    status: Status = "FAILED"
    try:
        yield tracking
        status = "FINISHED"
    except InterruptedRunError:
        status = "KILLED"
        raise
    finally:
        for tracker in trackers:
            tracker.close(status)


def track_report(run_folder: Path, *, warn: Warn) -> None:
    """Log the report, its figures and the mistakes of an evaluated run, where its training was tracked."""
    run = open_finished_run(run_folder)
    places = _places(run)
    targets: list[LogTarget] = [target for target in get_args(LogTarget) if target in places]
    if not targets:
        return
    evaluation, epoch = run.evaluation(), len(run.history())
    split, names = evaluation["split"], evaluation["class_names"]
    figures = {f"{name}/{split}": evaluation[name] for name in FIGURES}
    wrong = [
        Mistake(
            path=Path(photo["path"]),
            true=names[photo["label"]],
            predicted=names[photo["top_classes"][0]["index"]],
            probability=photo["top_classes"][0]["probability"],
        )
        for photo in evaluation["photos"]
        if photo["top_classes"][0]["index"] != photo["label"]
    ]
    sheet = draw_mistakes(wrong)
    trackers = [
        BackgroundTracker(target, partial(_make, target, run, finished_epochs=epoch), warn)
        for target in targets
    ]
    for tracker in trackers:
        tracker.call(lambda t: t.log_report(run.report_path, figures, epoch=epoch))
        if sheet is not None:
            tracker.call(lambda t: t.log_mistakes(sheet, split=split, epoch=epoch))
    for tracker in trackers:
        tracker.close("FINISHED")


def _make(target: LogTarget, run: Run, *, finished_epochs: int | None) -> Tracker:
    """Return the tracker of a run; `finished_epochs` are those of one that is continued, None of a new one."""
    settings = run.config().to_dict()
    places = _places(run)
    if target == "tensorboard":
        tracker = TensorBoardTracker(run.folder, settings, finished_epochs=finished_epochs)
        _keep_place(run, target, {})
        return tracker
    return MlflowTracker(
        run.folder.absolute().name,
        settings,
        place=places.get(target, {}),
        keep_place=partial(_keep_place, run, target),
    )


def _places(run: Run) -> dict[str, Any]:
    """Return where the run is tracked: tracking.json, which nobody needs and anybody may delete."""
    try:
        return read_json(run.tracking_path)
    except (OSError, ValueError):
        return {}


def _keep_place(run: Run, target: LogTarget, place: dict[str, str]) -> None:
    # Each tracker has a thread of its own.
    with _PLACES:
        write_json(run.tracking_path, {**_places(run), target: place})


def _mistakes(run: Run, photos: Sequence[Photo]) -> list[Mistake]:
    network, names = load_network(run), run.data()["class_names"]
    logits, labels = compute_logits(network, photos, preprocessing_of(run.config()))
    top = torch.softmax(logits, 1).max(1)
    return [
        Mistake(
            path=photo.path,
            true=names[label],
            predicted=names[predicted],
            probability=probability,
        )
        for photo, label, predicted, probability in zip(
            photos, labels.tolist(), top.indices.tolist(), top.values.tolist(), strict=True
        )
        if predicted != label
    ]
