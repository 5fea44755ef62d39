"""What a run is evaluated on: its own photos wherever they lie, and never one that it was trained on or selected by."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.config import TrainConfig
from training.data.photos import Photo
from training.data.source import read_data
from training.errors import RunError
from training.evaluation.selection import EvaluatedSplit, Selection, select_photos
from training.own_photos import read_own_photos
from training.run import Run, begin_run, write_json

COUNTS = {"train": 5, "val": 2, "test": 3}


def put(folder: Path, seeds: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")


def begin(config: TrainConfig) -> Run:
    run = Run(folder=config.out)
    begin_run(run, config, read_data(config), licence_note="")
    return run


@pytest.fixture
def split_run(tmp_path: Path) -> Run:
    """Return a run on 2 classes, each with 5 train, 2 val and 3 test photos in folders of their own."""
    for number, (split, count) in enumerate(COUNTS.items()):
        put(tmp_path / "photos" / split / "cat", range(100 * number, 100 * number + count))
        put(
            tmp_path / "photos" / split / "dog", range(100 * number + 50, 100 * number + 50 + count)
        )
    return begin(TrainConfig(data=tmp_path / "photos", out=tmp_path / "run"))


@pytest.fixture
def flat_run(tmp_path: Path) -> Run:
    """Return a run on 2 classes of 20 photos without split folders."""
    put(tmp_path / "photos" / "cat", range(20))
    put(tmp_path / "photos" / "dog", range(100, 120))
    return begin(TrainConfig(data=tmp_path / "photos", out=tmp_path / "run"))


def names(photos: tuple[Photo, ...]) -> set[str]:
    return {photo.path.name for photo in photos}


def select(run: Run, *, split: EvaluatedSplit = "test", data: Path | None = None) -> Selection:
    return select_photos(run, split=split, data=data)


def rename(run: Run, *pairs: tuple[str, str]) -> None:
    folder = run.config().data
    for old, new in pairs:
        (folder / old).rename(folder / new)


def test_the_runs_own_photos_are_evaluated_whole(split_run: Run) -> None:
    for split in ("val", "test"):
        selection = select(split_run, split=split)
        assert len(selection.photos) == 2 * COUNTS[split]
        assert selection.left_out == 0
        assert len(selection.val) == 4


def test_train_and_test_exchanged_are_refused(split_run: Run) -> None:
    rename(split_run, ("train", "kept"), ("test", "train"), ("kept", "test"))
    with pytest.raises(RunError, match="trained on or selected by all of the 10 test photos"):
        select(split_run)


def test_photos_that_the_run_has_used_are_left_out_of_a_changed_test(split_run: Run) -> None:
    folder = split_run.config().data
    # 4 photos it was trained on, one of val under another name, and one that is new.
    for number in range(2):
        (folder / "train/cat" / f"{number}.png").rename(folder / "test/cat" / f"{number}.png")
        shutil.copy(folder / "train/dog" / f"{50 + number}.png", folder / "test/dog")
    shutil.copy(folder / "val/cat/100.png", folder / "test/cat/renamed.png")
    put(folder / "test/dog", range(900, 901))
    selection = select(split_run)
    assert selection.left_out == 5
    assert names(selection.photos) == {
        "200.png", "201.png", "202.png", "250.png", "251.png", "252.png", "900.png"
    }  # fmt: skip
    assert names(selection.val) == {"100.png", "renamed.png", "101.png", "150.png", "151.png"}


def test_other_photos_are_evaluated_without_those_the_run_has_used(
    split_run: Run, tmp_path: Path
) -> None:
    folder = split_run.config().data
    put(tmp_path / "other" / "cat", range(900, 902))
    put(tmp_path / "other" / "dog", range(950, 952))
    for split, seed in (("train", 0), ("val", 100), ("test", 200)):
        shutil.copy(folder / split / "cat" / f"{seed}.png", tmp_path / "other" / "cat")
    selection = select(split_run, data=tmp_path / "other")
    assert selection.left_out == 2
    assert names(selection.photos) == {"900.png", "901.png", "200.png", "950.png", "951.png"}
    assert names(selection.val) == {"100.png", "101.png", "150.png", "151.png"}


def test_unlabeled_photos_count_as_trained_on_even_where_they_are_gone(
    split_run: Run, tmp_path: Path
) -> None:
    put(tmp_path / "more", range(700, 705))
    config = replace(split_run.config(), unlabeled=tmp_path / "more", out=tmp_path / "second")
    run = begin(config)
    put(tmp_path / "other" / "cat", range(700, 703))
    put(tmp_path / "other" / "dog", range(800, 803))
    shutil.rmtree(tmp_path / "more")
    assert select(run).left_out == 0
    selection = select(run, data=tmp_path / "other")
    assert (len(selection.photos), selection.left_out) == (3, 3)


def move(run: Run) -> Path:
    return run.config().data.rename(run.config().data.with_name("moved"))


def test_photos_that_moved_are_the_runs_own_and_found_again(
    flat_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = select(flat_run)
    move(flat_run)
    with pytest.raises(RunError, match=r"photos', which does not exist.*--data FOLDER"):
        select(flat_run)
    monkeypatch.chdir(tmp_path)
    after = select(flat_run, data=Path("moved"))
    # Not all 40 photos of a folder without splits, but the run's own test photos.
    assert names(after.photos) == names(before.photos)
    assert (names(after.val), after.left_out) == (names(before.val), 0)
    monkeypatch.chdir("/")
    assert names(select(flat_run).photos) == names(before.photos)
    assert flat_run.config().data == tmp_path / "moved"


def test_a_copy_elsewhere_does_not_take_the_place_of_photos_that_are_still_there(
    flat_run: Run, tmp_path: Path
) -> None:
    shutil.copytree(flat_run.config().data, tmp_path / "copy")
    selection = select(flat_run, data=tmp_path / "copy")
    assert {photo.path.parents[1] for photo in selection.photos} == {tmp_path / "copy"}
    assert flat_run.config().data == tmp_path / "photos"


def test_val_photos_are_none_where_the_runs_own_are_gone(flat_run: Run, tmp_path: Path) -> None:
    put(tmp_path / "other" / "cat", range(900, 902))
    put(tmp_path / "other" / "dog", range(950, 952))
    move(flat_run)
    selection = select(flat_run, data=tmp_path / "other")
    assert (len(selection.photos), selection.val) == (4, ())


def test_the_evaluation_follows_the_photos(flat_run: Run) -> None:
    photos = select(flat_run).photos
    listed = [{"path": str(photo.path), "sha256": photo.sha256} for photo in photos]
    write_json(flat_run.evaluation_path, {"photos": listed})
    moved = move(flat_run)
    (moved / "cat").rename(moved / "cat2")
    (moved / "cat2").rename(moved / "cat")
    read_own_photos(flat_run, moved)
    paths = [Path(photo["path"]) for photo in flat_run.evaluation()["photos"]]
    assert all(path.exists() for path in paths)
    assert {path.name for path in paths} == names(photos)


def test_other_photos_are_not_taken_for_the_runs_own(split_run: Run, tmp_path: Path) -> None:
    put(tmp_path / "other" / "cat", range(900, 930))
    put(tmp_path / "other" / "dog", range(950, 980))
    with pytest.raises(RunError, match="other' does not hold the photos"):
        read_own_photos(split_run, tmp_path / "other")


def forget(run: Run) -> None:
    """Make it a run of a version that recorded the fingerprint alone."""
    run.photos_path.unlink()
    data = run.data()
    del data["labeled_fingerprint"]
    write_json(run.data_path, data)


@pytest.mark.parametrize("prepare", [forget, lambda run: (forget(run), move(run))])
def test_a_run_of_an_earlier_version_is_known_by_its_fingerprint(
    flat_run: Run, prepare: Callable[[Run], object]
) -> None:
    count = len(select(flat_run).photos)
    prepare(flat_run)
    moved = flat_run.config().data.with_name("moved")
    assert len(select(flat_run, data=moved if moved.exists() else None).photos) == count


def test_a_run_of_an_earlier_version_whose_photos_changed_is_refused(split_run: Run) -> None:
    forget(split_run)
    rename(split_run, ("train", "kept"), ("test", "train"), ("kept", "test"))
    with pytest.raises(RunError, match="earlier version, which did not record the photos"):
        select(split_run)


def test_a_damaged_record_is_one_sentence(split_run: Run) -> None:
    split_run.photos_path.write_text('{"sha256s": 3}')
    rename(split_run, ("train", "kept"), ("test", "train"), ("kept", "test"))
    with pytest.raises(RunError, match=r"photos\.json cannot be read"):
        select(split_run)


def test_photos_of_a_group_that_was_trained_on_are_left_out(tmp_path: Path) -> None:
    for name, first in (("cat", 0), ("dog", 100)):
        for group in range(8):
            put(
                tmp_path / "photos" / name / f"{name}{group}",
                range(first + 4 * group, first + 4 * group + 4),
            )
    config = TrainConfig(data=tmp_path / "photos", out=tmp_path / "run", group_by="folder")
    run = begin(config)
    own = select(run)
    assert own.left_out == 0
    tested = {photo.group for photo in own.photos}
    other = tmp_path / "other"
    for name, first in (("cat", 900), ("dog", 950)):
        for group in range(8):
            put(other / name / f"{name}{group}", range(first + group, first + group + 1))
        put(other / name / "new", range(first + 20, first + 21))
    selection = select(run, data=other)
    assert {photo.group for photo in selection.photos} == {*tested, "new"}
    assert selection.left_out == 16 - len(tested)


def listed_run(tmp_path: Path) -> Run:
    """Return a run on 40 photos of one folder, half of each class, that a table lists."""
    put(tmp_path / "photos", range(40))
    rows = [f"{number}.png,{'cat' if number % 2 else 'dog'}\n" for number in range(40)]
    table = tmp_path / "labels.csv"
    table.write_text("".join(rows))
    return begin(TrainConfig(data=tmp_path / "photos", labels=table, out=tmp_path / "run"))


def test_a_run_remembers_the_table_of_its_labels(tmp_path: Path) -> None:
    run = listed_run(tmp_path)
    assert run.config().labels == tmp_path / "labels.csv"
    assert select(run).left_out == 0


def test_photos_and_the_table_of_their_labels_may_move(tmp_path: Path) -> None:
    run = listed_run(tmp_path)
    before = select(run)
    (tmp_path / "photos").rename(tmp_path / "new")
    (tmp_path / "labels.csv").rename(tmp_path / "new.csv")
    after = select_photos(run, split="test", data=tmp_path / "new", labels=tmp_path / "new.csv")
    assert names(after.photos) == names(before.photos)
    assert run.config().labels == tmp_path / "new.csv"
    assert names(select(run).photos) == names(before.photos)


def test_what_is_passed_by_is_said(split_run: Run) -> None:
    data = split_run.config().data
    (data / "test" / "cat" / "Thumbs.db").write_bytes(b"x")
    (data / "test" / "cat" / "broken.jpg").write_bytes(b"x")
    notes = select(split_run, data=data).notes
    assert notes[0] == "passed by 1 file (not photos: 1 .db)"
    assert "skipped 1 unreadable files: " in notes[1]


def test_a_table_of_labels_moves_along_with_its_photos(tmp_path: Path) -> None:
    data = tmp_path / "photos"
    put(data / "images", range(40))
    rows = [f"images/{seed}.png,{'cat' if seed < 20 else 'dog'}" for seed in range(40)]
    (data / "labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    run = begin(TrainConfig(data=data, labels=data / "labels.csv", out=tmp_path / "run"))
    before = select(run)
    moved = move(run)
    assert names(select(run, data=moved).photos) == names(before.photos)
    assert (run.config().data, run.config().labels) == (moved, moved / "labels.csv")
    again = moved.rename(tmp_path / "again")
    assert len(read_own_photos(run, again).photos) == 40
    assert run.config().labels == again / "labels.csv"
    put(tmp_path / "other" / "cat", range(900, 902))
    put(tmp_path / "other" / "dog", range(950, 952))
    assert len(select(run, data=tmp_path / "other").photos) == 4


def test_the_names_of_a_run_of_a_mac_are_those_of_its_folders(tmp_path: Path) -> None:
    # As NFD "café" comes before "cafz", as NFC after it.
    data = tmp_path / "photos"
    put(data / "caf\u00e9", range(20))
    put(data / "cafz", range(100, 120))
    config = TrainConfig(data=data, out=tmp_path / "run")
    photos = read_data(config)
    swapped = tuple(replace(photo, label=1 - photo.label) for photo in photos.photos)
    run = Run(folder=config.out)
    begin_run(
        run,
        config,
        replace(photos, class_names=("cafe\u0301", "cafz"), photos=swapped),
        licence_note="",
    )
    for selection in (select(run), select(run, data=Path(shutil.copytree(data, tmp_path / "new")))):
        assert selection.left_out == 0
        assert names(selection.photos) == names(photos.of("test"))
        assert {p.path.parent.name: p.label for p in selection.photos} == {
            "caf\u00e9": 0,
            "cafz": 1,
        }
