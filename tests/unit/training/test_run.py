"""Where a run folder may be created."""

from pathlib import Path

import pytest

from training.config import TrainConfig
from training.data.photos import PhotoSet
from training.errors import ConfigError
from training.run import Run, check_run


def check(data: Path, out: Path) -> None:
    photos = PhotoSet(folder=data, class_names=("a", "b"), photos=())
    check_run(Run(folder=out), TrainConfig(data=data, out=out), photos)


def test_a_run_folder_is_never_among_the_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for data, out in ((tmp_path, tmp_path / "runs" / "first"), (Path(), Path("runs/first"))):
        with pytest.raises(ConfigError, match="runs/first' is inside --data"):
            check(data, out)
    check(tmp_path / "photos", tmp_path / "runs" / "first")
    # Hidden folders are never read as photos; the name of a dataset is not a folder.
    check(tmp_path, tmp_path / ".runs" / "first")
    check(Path("stl10"), Path("stl10/run"))


def test_folders_next_to_the_splits_are_not_read_as_photos(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split / "cat").mkdir(parents=True)
    check(tmp_path, tmp_path / "runs" / "first")
    with pytest.raises(ConfigError, match="train/first' is inside --data"):
        check(tmp_path, tmp_path / "train" / "first")
