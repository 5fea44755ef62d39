import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data.files import BadFile, check_bad_share
from training.data.photos import SPLITS, read_photos
from training.errors import DataError


def jpeg(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def put(folder: Path, numbers: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(jpeg(number))


@pytest.fixture
def split_folder(tmp_path: Path) -> Path:
    """Return a folder of two classes, each with 20 train, 2 val and 2 test photos, all different."""
    number = 0
    for split, count in (("train", 20), ("val", 2), ("test", 2)):
        for name in ("cat", "dog"):
            put(tmp_path / split / name, range(number, number + count))
            number += count
    return tmp_path


def test_reads_given_splits_in_class_order(split_folder: Path) -> None:
    photos = read_photos(split_folder)
    assert photos.class_names == ("cat", "dog")
    assert [photos.counts(split) for split in SPLITS] == [(20, 20), (2, 2), (2, 2)]
    assert photos.bad_files == photos.leaks == ()
    assert {photo.path.parent.name for photo in photos.photos if photo.label == 1} == {"dog"}


def test_a_flat_folder_is_split(tmp_path: Path) -> None:
    put(tmp_path / "a", range(60))
    put(tmp_path / "b", range(100, 160))
    photos = read_photos(tmp_path, seed=3)
    assert sum(sum(photos.counts(split)) for split in SPLITS) == 120
    # 120 photos at a share of 15 %: 18 expected, standard deviation 4.
    assert all(5 <= sum(photos.counts(split)) <= 34 for split in ("val", "test"))


def test_adding_photos_moves_none_to_another_split(tmp_path: Path) -> None:
    put(tmp_path / "a", range(40))
    put(tmp_path / "b", range(100, 140))
    before = {photo.path: photo.split for photo in read_photos(tmp_path).photos}
    put(tmp_path / "a", range(40, 60))
    put(tmp_path / "c", range(200, 240))
    after = {photo.path: photo.split for photo in read_photos(tmp_path).photos}
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 60


def test_each_class_is_split_by_itself(tmp_path: Path) -> None:
    put(tmp_path / "many", range(60))
    put(tmp_path / "few", range(100, 103))
    counts = {split: read_photos(tmp_path).counts(split) for split in SPLITS}
    assert {split: count[0] for split, count in counts.items()} == dict.fromkeys(SPLITS, 1)


def test_another_seed_is_another_split(tmp_path: Path) -> None:
    put(tmp_path / "a", range(60))
    put(tmp_path / "b", range(100, 160))
    splits = [
        {photo.path: photo.split for photo in read_photos(tmp_path, seed=s).photos} for s in (0, 1)
    ]
    assert splits[0] != splits[1]


def test_hidden_files_and_folders_are_skipped(split_folder: Path) -> None:
    (split_folder / ".cache" / "cat").mkdir(parents=True)
    (split_folder / "train" / ".ipynb_checkpoints").mkdir()
    (split_folder / "train" / "cat" / ".DS_Store").write_bytes(b"no photo")
    (split_folder / "LICENSE").write_text("free")
    photos = read_photos(split_folder)
    assert photos.class_names == ("cat", "dog")
    assert photos.bad_files == ()


def test_photos_in_subfolders_of_a_class_count(split_folder: Path) -> None:
    put(split_folder / "train" / "cat" / "more", range(900, 903))
    assert read_photos(split_folder).counts("train") == (23, 20)


def test_a_few_bad_files_are_skipped_and_named(split_folder: Path) -> None:
    html = split_folder / "train" / "cat" / "page.jpg"
    html.write_text("<html>404</html>")
    cut = split_folder / "train" / "dog" / "cut.jpg"
    cut.write_bytes(jpeg(999)[:200])
    photos = read_photos(split_folder)
    assert {bad.path for bad in photos.bad_files} == {html, cut}
    assert all(bad.reason for bad in photos.bad_files)
    assert photos.counts("train") == (20, 20)


def test_files_that_are_not_photos_are_counted_and_stop_nothing(split_folder: Path) -> None:
    for photo in list(split_folder.rglob("*.jpg")):
        photo.with_name(f"{photo.name}.supplemental-metadata.json").write_text("{}")
    photos = read_photos(split_folder)
    assert photos.bad_files == ()
    assert photos.notes == ("passed by 48 files (not photos: 48 .json)",)
    assert photos.notes[0] in photos.describe()


def test_names_that_differ_in_capitals_are_two_classes_and_are_named(tmp_path: Path) -> None:
    for number, name in enumerate(("Cat", "cat", "dog")):
        put(tmp_path / name, range(100 * number, 100 * number + 20))
    photos = read_photos(tmp_path)
    assert photos.class_names == ("Cat", "cat", "dog")
    assert photos.notes == ("two classes by names that are nearly the same: 'Cat' and 'cat'",)


def test_many_bad_files_stop_the_run(split_folder: Path) -> None:
    for number in range(4):
        (split_folder / "train" / "cat" / f"bad{number}.jpg").write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"4 of 52 files .*bad0\.jpg.*5%"):
        read_photos(split_folder)


def test_5_percent_is_the_limit() -> None:
    bad = [BadFile(path=Path(f"{number}.jpg"), reason="broken") for number in range(51)]
    check_bad_share(bad[:50], total=1000)
    with pytest.raises(DataError, match="51 of 1000 .*9.jpg .broken.; and 41 more"):
        check_bad_share(bad, total=1000)


def test_only_the_first_of_many_skipped_files_are_named(split_folder: Path) -> None:
    photos = read_photos(split_folder)
    bad = tuple(BadFile(path=Path(f"{number}.jpg"), reason="broken") for number in range(13))
    summary = replace(photos, bad_files=bad).describe()
    assert "skipped 13" in summary
    assert summary.endswith("9.jpg (broken); and 3 more")


def test_a_name_that_is_not_utf_8_is_a_bad_file(split_folder: Path) -> None:
    name = os.fsencode(split_folder / "train" / "cat") + b"/caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(jpeg(500))
    (bad,) = read_photos(split_folder).bad_files
    assert bad.path.name == r"caf\xe9.jpg"
    assert bad.reason == "its name is not UTF-8"
    assert str(bad.path).encode()


def test_a_link_to_nowhere_is_passed_by_unless_a_table_lists_it(split_folder: Path) -> None:
    link = split_folder / "train" / "cat" / "gone.jpg"
    link.symlink_to("nowhere.jpg")
    photos = read_photos(split_folder)
    assert photos.bad_files == ()
    assert photos.notes == (f"passed by 1 link to what does not exist ({link})",)
    listed = [p for p in split_folder.rglob("*.jpg") if p.parent.parent.name == "train"]
    table = split_folder / "labels.csv"
    table.write_text("".join(f"{path},{path.parent.name}\n" for path in listed))
    (bad,) = read_photos(split_folder, labels=table).bad_files
    assert bad.reason == "a link to a file that does not exist"


def test_a_test_photo_is_not_trained_on(split_folder: Path) -> None:
    test_photo = next((split_folder / "test" / "cat").iterdir())
    copy = split_folder / "train" / "cat" / "copy.jpg"
    copy.write_bytes(test_photo.read_bytes())
    photos = read_photos(split_folder)
    assert [(leak.dropped, leak.kept) for leak in photos.leaks] == [(copy, test_photo)]
    assert copy not in {photo.path for photo in photos.photos}


def test_the_fingerprint_depends_on_content_and_not_on_names(split_folder: Path) -> None:
    before = read_photos(split_folder).fingerprint
    photo = next((split_folder / "train" / "cat").iterdir())
    photo.rename(photo.with_name("renamed.jpg"))
    assert read_photos(split_folder).fingerprint == before
    (split_folder / "train" / "cat" / "renamed.jpg").unlink()
    assert read_photos(split_folder).fingerprint != before


def test_refuses_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'.*nowhere' does not exist") as caught:
        read_photos(tmp_path / "nowhere")
    assert caught.value.exit_code == 2


def test_refuses_a_file(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(jpeg(0))
    with pytest.raises(DataError, match="is a file"):
        read_photos(file)


def test_refuses_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no class folder"):
        read_photos(tmp_path)


def test_refuses_a_single_class(tmp_path: Path) -> None:
    put(tmp_path / "cat", range(30))
    with pytest.raises(DataError, match="only the class 'cat'"):
        read_photos(tmp_path)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_names_the_class_without_a_photo(split_folder: Path, split: str) -> None:
    for photo in (split_folder / split / "dog").iterdir():
        photo.unlink()
    with pytest.raises(DataError, match=f"'dog' has no {split} photo"):
        read_photos(split_folder)


def test_refuses_splits_without_train(split_folder: Path) -> None:
    (split_folder / "train").rename(split_folder.parent / "elsewhere")
    with pytest.raises(DataError, match="holds val and test but no train"):
        read_photos(split_folder)


def test_splits_without_train_can_be_evaluated_on(split_folder: Path) -> None:
    shutil.rmtree(split_folder / "train")
    assert read_photos(split_folder, unsplit_as="test").counts("test") == (2, 2)


def test_a_class_of_another_spelling_in_one_split_is_named(split_folder: Path) -> None:
    (split_folder / "val" / "dog").rename(split_folder / "val" / "Dog")
    with pytest.raises(
        DataError, match=r"'Dog' has no train photo.*'dog' is another class; rename"
    ):
        read_photos(split_folder)


def test_a_table_beside_the_photos_is_named(tmp_path: Path) -> None:
    put(tmp_path / "images", range(3))
    (tmp_path / "labels.csv").write_text("0.jpg,cat")
    with pytest.raises(DataError, match=r"only the class 'images'.*--labels .*labels\.csv"):
        read_photos(tmp_path)


def test_labels_may_be_listed_in_a_table(tmp_path: Path) -> None:
    put(tmp_path / "images", range(20))
    rows = [f"{number}.jpg,{'cat' if number % 2 else 'dog'}\n" for number in range(20)]
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n" + "".join(rows))
    photos = read_photos(tmp_path / "images", labels=table)
    assert photos.class_names == ("cat", "dog")
    assert {(photo.path.stem, photos.class_names[photo.label]) for photo in photos.photos} == {
        (str(number), "cat" if number % 2 else "dog") for number in range(20)
    }
    assert {photo.split for photo in photos.photos} == set(SPLITS)


def test_a_photo_that_a_table_lists_and_that_is_not_there_is_a_bad_file(tmp_path: Path) -> None:
    put(tmp_path, range(30))
    table = tmp_path / "labels.csv"
    rows = [f"{number}.jpg,{number % 2},{SPLITS[number % 3]}\n" for number in range(30)]
    table.write_text("".join([*rows, "gone.jpg,0,train\n"]))
    photos = read_photos(tmp_path, labels=table)
    assert [photos.counts(split) for split in SPLITS] == [(5, 5)] * 3
    assert [(bad.path.name, bad.reason) for bad in photos.bad_files] == [
        ("gone.jpg", "no such file")
    ]


def test_a_table_of_one_class_is_refused(tmp_path: Path) -> None:
    put(tmp_path, range(3))
    (tmp_path / "labels.csv").write_text("0.jpg,cat\n1.jpg,cat\n")
    with pytest.raises(DataError, match=r"labels\.csv' holds only the class 'cat'"):
        read_photos(tmp_path, labels=tmp_path / "labels.csv")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for number, name in enumerate(("bus", "test", "train")):
        put(tmp_path / name, range(100 * number, 100 * number + 20))
    assert read_photos(tmp_path).class_names == ("bus", "test", "train")


def test_split_folders_without_classes_are_not_taken_for_classes(tmp_path: Path) -> None:
    for number, split in enumerate(SPLITS):
        put(tmp_path / split, range(100 * number, 100 * number + 20))
    with pytest.raises(DataError, match="no class folder"):
        read_photos(tmp_path)


def test_refuses_two_folders_for_one_split(split_folder: Path) -> None:
    put(split_folder / "validation" / "cat", range(3))
    with pytest.raises(DataError, match="both 'val' and 'validation'"):
        read_photos(split_folder)


def test_what_a_folder_without_classes_holds_is_said(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scans.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"no class folder.* In it: .*passed by 2 files .*2 \.zip"):
        read_photos(tmp_path)


def test_a_table_beside_photos_without_class_folders_is_named(tmp_path: Path) -> None:
    put(tmp_path, range(4))
    (tmp_path / "train.csv").write_text("")
    with pytest.raises(DataError, match=r"or give --labels .*/train\.csv\."):
        read_photos(tmp_path)


def test_a_class_of_copies_is_named_as_such(tmp_path: Path) -> None:
    put(tmp_path / "cat", range(8))
    (tmp_path / "dog").mkdir()
    for number in range(8):
        (tmp_path / "dog" / f"{number}.jpg").write_bytes(jpeg(100))
    with pytest.raises(DataError, match="Of its 8 photos only 1 is different"):
        read_photos(tmp_path)
