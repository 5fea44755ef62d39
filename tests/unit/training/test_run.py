"""Where a run folder may be made."""

from pathlib import Path

import pytest

from training.config import TrainConfig
from training.data.photos import PhotoSet
from training.errors import ConfigError
from training.run import Run, check_run


def check(data: Path, out: Path) -> None:
    photos = PhotoSet(folder=data, class_names=("a", "b"), photos=())
    check_run(Run(folder=out), TrainConfig(data=data, out=out), photos)


def test_a_run_never_lies_among_the_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for data, out in ((tmp_path, tmp_path / "runs" / "first"), (Path(), Path("runs/first"))):
        with pytest.raises(ConfigError, match="runs/first' lies in --data"):
            check(data, out)
    check(tmp_path / "photos", tmp_path / "runs" / "first")
    # Hidden folders are never read as photos; a dataset's name is no folder.
    check(tmp_path, tmp_path / ".runs" / "first")
    check(Path("stl10"), Path("stl10/run"))


def test_beside_the_splits_nothing_is_read(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split / "cat").mkdir(parents=True)
    check(tmp_path, tmp_path / "runs" / "first")
    with pytest.raises(ConfigError, match="train/first' lies in --data"):
        check(tmp_path, tmp_path / "train" / "first")
