"""Near-duplicates, statistics, and the contact sheet of a folder."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headswap.cli import main
from training.config import TrainConfig
from training.data import contact_sheet, duplicates
from training.data.check import check_data
from training.data.contact_sheet import THUMBNAIL_PX, write_contact_sheets
from training.data.duplicates import with_near_leaks
from training.data.photos import read_photos
from training.fit.trainer import read_and_check
from training.run import Run, begin_run


def photo(seed: int, size: tuple[int, int] = (120, 160)) -> Image.Image:
    """Return an image of shapes large enough to survive compression, different for each seed."""
    grid = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return 2 classes in 3 splits; one train photo is resized and recompressed in test, another is in both classes."""
    tmp_path = tmp_path / "photos"
    seed = 0
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for name in ("cat", "dog"):
            target = tmp_path / split / name
            target.mkdir(parents=True)
            for number in range(count):
                seed += 1
                photo(seed).save(target / f"{number}.jpg", quality=90)
    photo(1).resize((60, 80)).save(tmp_path / "test" / "cat" / "again.jpg", quality=60)
    photo(2).save(tmp_path / "train" / "dog" / "as_dog.png")
    return tmp_path


def test_near_duplicates_are_found_across_splits_and_classes(folder: Path) -> None:
    check = check_data(read_photos(folder))
    assert [
        {pair.first.path.relative_to(folder), pair.second.path.relative_to(folder)}
        for pair in check.leaking
    ] == [{Path("train/cat/0.jpg"), Path("test/cat/again.jpg")}]
    assert [
        {pair.first.path.relative_to(folder), pair.second.path.relative_to(folder)}
        for pair in check.mislabelled
    ] == [{Path("train/cat/1.jpg"), Path("train/dog/as_dog.png")}]
    assert len(check.near_duplicates) == 2
    assert check.counts["train"] == (4, 5)
    assert check.imbalance == pytest.approx(1.25)
    assert check.shorter_side_px == (60, 120, 120)
    assert check.formats == {"JPEG": 17, "PNG": 1}


def test_training_names_near_duplicates_across_splits(folder: Path) -> None:
    photos = with_near_leaks(read_photos(folder))
    (leak,) = photos.near_leaks
    assert (leak.evaluated, leak.other) == (
        folder / "test/cat/again.jpg",
        folder / "train/cat/0.jpg",
    )
    assert f"1 near-duplicate pairs across splits: {leak.evaluated}" in photos.describe()


def test_a_resumed_run_names_them_too(folder: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=folder, out=tmp_path / "run")
    run = Run(folder=config.out)
    photos = read_and_check(run, config)
    begin_run(run, config, photos, licence_note="")
    resumed = read_and_check(run, replace(config, resume=True))
    assert len(resumed.near_leaks) == 1
    assert resumed.describe() == photos.describe()


def test_the_contact_sheet_has_a_row_per_class(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    assert write_contact_sheets(read_photos(folder), path) == [path]
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        assert sheet.height > 2 * THUMBNAIL_PX
        assert len(set(sheet.convert("L").get_flattened_data())) > 50
    assert not list(tmp_path.glob(".*.part"))


def test_the_command_names_what_it_finds(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train" / "cat" / "broken[1].jpg").write_bytes(b"no photo")
    sheet = tmp_path / "sheet.png"
    arguments = ["data", "check", str(folder), "--contact-sheet", str(sheet)]
    # 1 of 19 files is broken: above the 5 % that are allowed.
    assert main(arguments) == 2
    for number in range(2):
        photo(100 + number).save(folder / "train" / "cat" / f"more{number}.jpg")
    shutil.copy(folder / "train" / "cat" / "more0.jpg", folder / "train" / "cat" / "copied.jpg")
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "broken[1].jpg" in printed
    assert "again.jpg" in printed
    assert "1 pairs are near-duplicates across splits" in printed
    assert "1 exact copies of other photos in the same split" in printed
    assert sheet.exists()


def test_many_classes_are_spread_over_several_sheets(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_sheet, "CLASSES_PER_SHEET", 1)
    # In a folder that is not there yet.
    path = tmp_path / "sheets" / "all.png"
    sheets = write_contact_sheets(read_photos(folder), path)
    assert sheets == [path, path.with_name("all-2.png")]
    for sheet in sheets:
        with Image.open(sheet) as image:
            rows_px = image.height - contact_sheet.GAP_PX
        assert rows_px == THUMBNAIL_PX + contact_sheet.LABEL_HEIGHT_PX + contact_sheet.GAP_PX


def test_the_same_bytes_in_two_classes_are_named(folder: Path) -> None:
    photo_path = folder / "train" / "cat" / "2.jpg"
    copy = folder / "train" / "dog" / "copy.jpg"
    copy.write_bytes(photo_path.read_bytes())
    pairs = check_data(read_photos(folder)).mislabelled
    assert {photo_path, copy} in [{pair.first.path, pair.second.path} for pair in pairs]


def test_the_search_stops_when_all_photos_look_alike(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        photo(50).resize((60 + number, 80)).save(folder / "train" / "cat" / f"same{number}.png")
    monkeypatch.setattr(duplicates, "PAIRS_MAX", 5)
    monkeypatch.setattr("training.data.check.PAIRS_MAX", 5)
    check = check_data(read_photos(folder))
    assert len(check.near_duplicates) == 5
    assert check.is_truncated
    # Pairs within a split do not count towards the limit when only pairs across splits are wanted.
    assert len(with_near_leaks(read_photos(folder)).near_leaks) == 1


def test_odd_class_names_are_printed_unchanged(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Markup and an emoji to rich, a character missing in the sheet's font, a flag, a formula.
    for name, odd in (("cat", "[old] :cat: 猫"), ("dog", "-d $x")):
        for split in ("train", "val", "test"):
            (folder / split / name).rename(folder / split / odd)
    sheet = tmp_path / "[red]sheet.png"
    assert main(["data", "check", str(folder), "--contact-sheet", str(sheet)]) == 1
    printed = capsys.readouterr().out
    assert "[old] :cat: 猫" in printed
    assert "-d $x" in printed
    assert str(sheet) in printed
