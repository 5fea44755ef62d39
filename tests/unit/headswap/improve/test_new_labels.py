"""Labels before an improvement begins: divided, counted, and refused where nothing can be learned from them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from capture.answers import read_captured
from capture.labels import LabelBook
from headswap.errors import ArgumentError
from headswap.improve.errors import NotBetterError
from headswap.improve.new_labels import NewLabels
from headswap.improve.snapshot import is_measured_on
from tests.unit.headswap.improve.test_improve import capture
from tests.unit.headswap.improve.test_origin import LIVE, make_run
from training.config import TrainConfig
from training.run import Run


@pytest.fixture
def captured(tmp_path: Path) -> Path:
    """Return a capture folder of 30 photos, all labelled hat."""
    folder = tmp_path / "captured"
    folder.mkdir()
    capture(folder, 30)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(folder=make_run(tmp_path / "run", b"live", data=tmp_path / "photos"))


def of(captured: Path, run: Run) -> NewLabels:
    return NewLabels(captured, run, LIVE, 0.2)


def relabel(captured: Path, count: int, name: str, *, measured: bool = False) -> None:
    photos = [p for p in read_captured(captured) if is_measured_on(p.sha256, 0.2) == measured]
    for photo in photos[:count]:
        LabelBook(captured).write(photo, name)


def test_known_classes_pass_with_and_without_the_flag(captured: Path, run: Run) -> None:
    labels = of(captured, run)
    for new_classes in (False, True):
        labels.check(new_classes=new_classes)
    assert sum(labels.counts().values()) == 30
    assert labels.describe_added() == ""


def test_a_new_class_needs_the_flag_and_three_photos_to_train_on(captured: Path, run: Run) -> None:
    relabel(captured, 2, "glove")
    with pytest.raises(ArgumentError, match=r"the class 'glove', which clothing 1\.0 lacks"):
        of(captured, run).check(new_classes=False)
    with pytest.raises(NotBetterError, match="'glove' has 2 photos to train on, and needs 3"):
        of(captured, run).check(new_classes=True)
    relabel(captured, 3, "glove")
    of(captured, run).check(new_classes=True)
    assert of(captured, run).describe_added() == ", with the new class glove"


def test_a_class_that_a_mac_spells_otherwise_is_not_new(captured: Path, run: Run) -> None:
    relabel(captured, 3, "hu\u0308t")
    live = replace(LIVE, class_names=("hat", "h\u00fct"))
    assert NewLabels(captured, run, live, 0.2).added() == {}


@pytest.mark.parametrize("kept", ["train", "test"])
def test_labels_for_one_part_alone_are_too_few(captured: Path, run: Run, kept: str) -> None:
    for photo in read_captured(captured):
        if is_measured_on(photo.sha256, 0.2) != (kept == "test"):
            LabelBook(captured).write(photo, None)
    with pytest.raises(NotBetterError, match="labels are too few"):
        of(captured, run).check(new_classes=False)


def test_photos_that_the_live_version_has_learned_are_not_measured_on(
    captured: Path, run: Run
) -> None:
    every = [photo.sha256 for photo in read_captured(captured)]
    record = {
        "sha256s": {"train": every[:29], "val": [], "test": [], "unlabeled": []},
        "groups": {},
    }
    run.photos_path.write_text(json.dumps(record))
    assert of(captured, run).counts()["train"] >= 29


def test_the_run_s_own_further_photos_are_learned_again(
    captured: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "more/shoe").mkdir(parents=True)
    (tmp_path / "more/shoe/1.jpg").write_bytes(b"\xff\xd8\xff shoe")
    before = of(captured, run).counts()
    config = TrainConfig(data=tmp_path / "photos", also=tmp_path / "more")
    run.config_path.write_text(json.dumps(config.to_dict()))
    after = of(captured, run)
    assert after.counts() == {"train": before["train"] + 1, "test": before["test"]}
    assert (tmp_path / "more/shoe/1.jpg", Path("train/shoe")) in after.files
    # Those of an earlier improvement are labels of this folder.
    config = replace(config, also=captured / "improvements/1.0/labels/train")
    run.config_path.write_text(json.dumps(config.to_dict()))
    assert of(captured, run).counts() == before
