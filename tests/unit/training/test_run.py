"""Where a run folder may be created, and the error for a folder without a run."""

from pathlib import Path

import pytest

from training.config import TrainConfig
from training.data.photos import PhotoSet
from training.errors import ConfigError, RunError
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
        (tmp_path / split / "cat" / "0.jpg").touch()
    check(tmp_path, tmp_path / "runs" / "first")
    with pytest.raises(ConfigError, match="train/first' is inside --data"):
        check(tmp_path, tmp_path / "train" / "first")


def test_a_folder_without_a_run_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "folder" / "config.json").mkdir(parents=True)
    for name, reason in (
        ("nowhere", "there is no such folder"),
        ("file", "it is not a folder"),
        ("empty", "it has no config.json"),
        ("broken", "its config.json cannot be read: Expecting property name"),
        ("folder", "its config.json cannot be read: Is a directory"),
    ):
        with pytest.raises(RunError, match=rf"{name}' is not a run folder: {reason}") as caught:
            Run(folder=tmp_path / name).config()
        assert "Errno" not in str(caught.value)


def test_a_missing_file_of_a_run_is_named_without_a_number(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"data\.json cannot be read: No such file or directory\. "):
        Run(folder=tmp_path).data()
