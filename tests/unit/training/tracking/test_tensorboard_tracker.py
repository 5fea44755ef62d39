"""Event files, read back by TensorBoard's own reader."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.unit.training.tracking.helpers import lines
from training.tracking.tensorboard_tracker import TensorBoardTracker


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()


def points(folder: Path, name: str) -> dict[int, float]:
    events = read(folder).Scalars(name)
    steps = [event.step for event in events]
    assert steps == sorted(set(steps)), "a point is there twice"
    return {event.step: pytest.approx(event.value, abs=1e-6) for event in events}


def track(folder: Path, *epochs: int, finished: int | None) -> None:
    tracker = TensorBoardTracker(folder, {"data": "photos"}, finished_epochs=finished)
    tracker.log_epochs(lines(*epochs))
    tracker.close("FINISHED")


def test_curves_are_the_lines_of_the_run(tmp_path: Path) -> None:
    track(tmp_path, 1, 2, 3, finished=None)
    assert points(tmp_path, "accuracy/val") == {1: 0.5, 2: 0.75, 3: 1 - 0.5 / 3}
    assert points(tmp_path, "loss/train") == {1: 1.0, 2: 0.5, 3: 1 / 3}
    assert points(tmp_path, "learning_rate/backbone") == {1: 5e-4, 2: 1e-3, 3: 1.5e-3}
    assert "| data | photos |" in str(read(tmp_path).Tensors("settings/text_summary"))


def test_a_continued_run_continues_its_curves_and_fills_what_was_lost(tmp_path: Path) -> None:
    track(tmp_path, 1, 2, finished=None)
    # Killed after the third epoch's checkpoint and before its point.
    track(tmp_path, 1, 2, 3, finished=3)
    track(tmp_path, 1, 2, 3, 4, finished=3)
    assert list(points(tmp_path, "accuracy/val")) == [1, 2, 3, 4]
    assert len(list(tmp_path.glob("events.*"))) == 3


def test_points_of_epochs_that_were_not_kept_are_replaced(tmp_path: Path) -> None:
    track(tmp_path, 1, 2, 3, finished=None)
    track(tmp_path, 1, 2, finished=1)
    assert list(points(tmp_path, "accuracy/val")) == [1, 2]


def test_a_killed_writer_leaves_a_file_that_is_continued(tmp_path: Path) -> None:
    track(tmp_path, 1, 2, finished=None)
    [file] = tmp_path.glob("events.*")
    file.write_bytes(file.read_bytes()[:-7])
    track(tmp_path, 1, 2, 3, finished=2)
    for name in ("accuracy/val", "loss/train", "learning_rate/head"):
        assert list(points(tmp_path, name)) == [1, 2, 3]


def test_a_new_run_in_the_folder_hides_the_curves_of_an_earlier_one(tmp_path: Path) -> None:
    track(tmp_path, 1, 2, 3, finished=None)
    track(tmp_path, 1, finished=None)
    assert list(points(tmp_path, "accuracy/val")) == [1]


def test_mistakes_and_the_report_can_be_seen(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    for _ in range(2):
        tracker = TensorBoardTracker(tmp_path, {}, finished_epochs=3)
        tracker.log_mistakes(Image.fromarray(pixels), split="test", epoch=3)
        tracker.log_report(Path("run/report.html"), {"accuracy/test": 0.9}, epoch=3)
        tracker.close("FINISHED")
    events = read(tmp_path)
    image = events.Images("mistakes/test")[-1]
    assert image.step == 3
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.encoded_image_string))), pixels)
    assert points(tmp_path, "accuracy/test") == {3: 0.9}
    report = str(events.Tensors("report/text_summary"))
    assert "run/report.html" in report
    assert "| accuracy/test | 0.9 |" in report


def test_a_run_resumed_in_the_second_it_was_killed_in_writes_a_later_file(tmp_path: Path) -> None:
    """TensorBoard reads files in the order of their names, where the process comes after the second."""
    warm, folder = tmp_path / "warm", tmp_path / "run"
    warm.mkdir()
    folder.mkdir()
    track(warm, 1, finished=0)
    earlier = folder / f"events.out.tfevents.{int(time.time())}.zzz.999999999.0"
    earlier.touch()
    track(folder, 1, 2, finished=1)
    assert max(folder.glob("events.*")) != earlier
