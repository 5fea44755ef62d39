"""Which photos an audit reads: those of a folder, or of a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from headswap.cli import main
from training.audit.place import find_place
from training.config import TrainConfig
from training.errors import AuditError, DataError
from training.run import Run, write_config


def test_a_run_is_audited_where_its_photos_are(tmp_path: Path) -> None:
    photos, run = tmp_path / "photos", Run(folder=tmp_path / "run")
    photos.mkdir()
    run.folder.mkdir()
    labels = tmp_path / "labels.csv"
    config = TrainConfig(
        data=photos, out=run.folder, labels=labels, fit="pad", grey_range=4095, max_bytes=1000
    )
    write_config(run, config)
    place = find_place(run.folder)
    assert (place.folder, place.labels) == (photos, labels)
    assert (place.fit, place.grey_range) == ("pad", 4095)
    assert place.limits is not None
    assert place.limits.max_bytes == 1000
    write_config(run, replace(config, data=tmp_path / "gone"))
    with pytest.raises(AuditError, match=r"gone.*does not exist"):
        find_place(run.folder)


def test_a_folder_is_audited_itself_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    assert find_place(tmp_path).folder == tmp_path
    with pytest.raises(DataError, match="does not exist"):
        find_place(tmp_path / "missing")


def test_the_page_may_not_lie_among_the_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jpg").write_bytes(b"no photo")
    assert main(["data", "audit", str(tmp_path), "--out", str(tmp_path / "cat" / "audit")]) == 2
    assert "would be read as photos" in capsys.readouterr().err


def test_apply_and_undo_are_not_combined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "audit", str(tmp_path), "--apply", "fixed.csv", "--undo"]) == 2
    assert "cannot be combined" in capsys.readouterr().err
