"""Layouts as people have them: each is understood, or refused by a sentence that names it."""

import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photo_folder.errors import FolderError
from photo_folder.labelled import LabelledFiles
from photo_folder.layout import find_labelled
from tests.unit.photo_folder.conftest import Maker, put


def counts(labelled: LabelledFiles) -> dict[str, int]:
    return dict(Counter(f"{file.split}/{file.class_name}" for file in labelled.files))


FLAT = {"None/cat": 2, "None/dog": 2}
SPLIT = {"test/cat": 2, "test/dog": 2, "train/cat": 2, "train/dog": 2}


@pytest.mark.parametrize(
    ("folders", "expected", "said"),
    [
        (("cat", "dog"), FLAT, ""),
        (("train/cat", "train/dog", "holdout/cat", "holdout/dog"), SPLIT, ""),
        (("Train/cat", "Train/dog", "Test/cat", "Test/dog"), SPLIT, ""),
        (("training_set/cat", "training_set/dog", "test_set/cat", "test_set/dog"), SPLIT, ""),
        (
            ("training_set/training_set/cat", "training_set/training_set/dog", "test_set/cat", "test_set/dog"),
            SPLIT,
            "",
        ),
        (("cat/train", "cat/test", "dog/train", "dog/test"), SPLIT, ""),
        (("photos/cat", "photos/dog"), FLAT, "the only folder with photos in"),
        (("a/b/train/cat", "a/b/train/dog", "a/b/test/cat", "a/b/test/dog"), SPLIT, "read .*a/b, the"),
        (("photos/cat", "photos/dog", "__MACOSX/cat"), FLAT, "1 __MACOSX"),
        (("cat", "dog", "test/cat", "test/dog"), SPLIT, "are read as train"),
        (("train/cat", "train/dog", "test"), {"train/cat": 2, "train/dog": 2}, "2 photos in no class folder"),
        (("train/cat", "train/dog", "unlabeled"), {"train/cat": 2, "train/dog": 2}, "with --unlabeled"),
        (("cat/monday", "cat/friday", "dog/monday"), {"None/cat": 4, "None/dog": 2}, r"cat \(friday, monday\)"),
        (("cat", "cat/more", "dog"), {"None/cat": 4, "None/dog": 2}, ""),
        (("bus", "train", "test"), {"None/bus": 2, "None/test": 2, "None/train": 2}, "each is read as a class"),
        (("cat", "dog", ".bird"), FLAT, r"\.bird holds photos but is hidden"),
        (("train/cat", "train/dog", "test/cat"), {"train/cat": 2, "train/dog": 2, "test/cat": 2}, ""),
        (("seg_train/seg_train/cat", "seg_train/seg_train/dog", "seg_test/cat", "seg_test/dog"), SPLIT, ""),
        (("p_train/cat", "p_train/dog", "p_test/cat", "p_test/dog", "p_pred/p_pred"), SPLIT, "p_pred holds 2 photos"),
        (("train/images/cat", "train/images/dog", "test/images/cat", "test/images/dog"), SPLIT, ""),
        (("cat", "dog", "unlabeled"), FLAT, "unlabeled holds 2 photos without labels, by its name"),
        (("train/cat", "train/dog", "train/Unlabelled", "test/cat", "test/dog"), SPLIT, "is not a class"),
        (("labeled", "unlabeled"), {"None/labeled": 2, "None/unlabeled": 2}, ""),
        (("labelled", "open", "unlabelled"), {"None/labelled": 2, "None/open": 2, "None/unlabelled": 2}, ""),
        (("fold1", "fold2"), {"None/fold1": 2, "None/fold2": 2}, ""),
        (("fold1/up", "fold2/down"), {"None/fold1": 2, "None/fold2": 2}, ""),
        (("face", "masks"), {"None/face": 2, "None/masks": 2}, ""),
    ],
)  # fmt: skip
def test_a_layout_is_understood(
    photos_in: Maker, folders: tuple[str, ...], expected: dict[str, int], said: str
) -> None:
    labelled = find_labelled(photos_in(*folders))
    assert counts(labelled) == expected
    assert re.search(said, "\n".join(labelled.notes))
    assert bool(labelled.notes) is bool(said)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("train/cat", "train/dog", "bird"), "beside them bird with 2 photos, which belong to no split"),
        (("train/cat", "val/cat", "Valid/cat"), "both 'Valid' and 'val'; keep one val folder"),
        (("train/cat", "Train/cat"), "both 'Train' and 'train'; keep one train folder"),
        (("train", "val", "test"), "split folders test, train, val, with photos but no class folder"),
        (("train", "test/cat", "test/dog"), "train' holds 2 photos but no class folder"),
        (("cat", "dog", "test"), r"class folders \(cat, dog\) and beside them test with photos"),
        (("cat/train", "cat/test", "dog"), "'dog' holds other photos as well"),
        (("cat/train", "cat/test", "cat", "dog/train"), "'cat' holds other photos as well"),
        (("cat/test", "cat/testing", "dog/train"), "both 'test' and 'testing'"),
        (("one", "two", "test/cat", "test/dog"), "with the classes cat, dog, but no train folder"),
        (("train", "test1"), "split folders test1, train, with photos but no class folder"),
        (("train/images", "val/images"), "train/images' holds 2 photos but no class folder"),
        (("images", "annotations/trimaps"), "photos in annotations, images, which are not called as classes"),
        (("JPEGImages", "SegmentationClass", "SegmentationObject"), "not called as classes"),
        (("fold1/cat", "fold1/dog", "fold2/cat"), r"cross-validation \(fold1, fold2\), which are not classes"),
        (("k-fold_01/cat", "k-fold_02/cat", "test/cat"), "name one of them test and another val"),
        (("Fold 0/train/cat", "Fold 0/test/cat", "Fold 1/train/cat", "Fold 1/test/cat"), "such as .*Fold 0"),
        (("",), "2 photos but no class folder; name them FOLDER/CLASS/PHOTO.*--labels"),
    ],
)  # fmt: skip
def test_another_layout_is_named_and_refused(
    photos_in: Maker, folders: tuple[str, ...], said: str
) -> None:
    with pytest.raises(FolderError, match=said):
        find_labelled(photos_in(*folders))


def test_photos_at_the_top_and_empty_folders_are_named(photos_in: Maker) -> None:
    root = photos_in("cat", "dog")
    put(root / "loose.jpg")
    (root / "new folder").mkdir()
    labelled = find_labelled(root)
    assert counts(labelled) == FLAT
    assert labelled.notes == (
        f"1 photo in {root} but in no class folder of it, not used: loose.jpg",
        f"1 folder in {root} without photos, not used as classes: new folder",
    )


def test_the_same_inside_a_split(photos_in: Maker) -> None:
    root = photos_in("train/cat", "train/dog", "test/cat", "test/dog")
    put(root / "train" / "loose.jpg")
    (root / "test" / "bird").mkdir()
    labelled = find_labelled(root)
    assert counts(labelled) == SPLIT
    assert len(labelled.notes) == 2


@pytest.mark.parametrize("place", ["bird", "train/bird"])
def test_a_class_on_a_disk_that_is_not_mounted_is_refused(photos_in: Maker, place: str) -> None:
    root = photos_in("train/cat", "train/dog")
    (root / place).symlink_to("/mnt/not-mounted/bird")
    with pytest.raises(FolderError, match="bird' is a link to '/mnt/not-mounted/bird'.* mount"):
        find_labelled(root)


def test_the_folder_of_unlabeled_photos_is_no_class(photos_in: Maker) -> None:
    root = photos_in("cat", "dog", "more")
    assert counts(find_labelled(root, unlabeled=root / "more")) == FLAT
    assert len(find_labelled(root).class_names) == 3


def test_a_link_to_a_photo_that_is_gone_is_passed_by(photos_in: Maker) -> None:
    root = photos_in("cat", "dog")
    (root / "cat" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    (root / "gone.jpg").symlink_to(root / "nowhere.jpg")
    labelled = find_labelled(root)
    assert counts(labelled) == FLAT
    assert "2 links to what does not exist" in labelled.notes[0]


def test_a_class_whose_photos_are_all_links_to_nowhere_is_refused(photos_in: Maker) -> None:
    root = photos_in("cat", "dog")
    (root / "bird" / "small").mkdir(parents=True)
    (root / "bird" / "small" / "0.jpg").symlink_to("/mnt/not-mounted/0.jpg")
    with pytest.raises(FolderError, match=r"'/mnt/not-mounted/0\.jpg'.* mount the disk"):
        find_labelled(root)


def test_one_name_in_two_spellings_of_unicode_is_one_class(photos_in: Maker) -> None:
    name = "caf\u00e9"
    root = photos_in(f"train/{name}", "train/dog", f"test/{unicodedata.normalize('NFD', name)}")
    assert find_labelled(root).class_names == (name, "dog")


def test_a_class_name_that_is_not_utf_8_is_refused(photos_in: Maker) -> None:
    root = photos_in("cat", os.fsdecode(b"caf\xe9"))
    with pytest.raises(FolderError, match=r"'caf\\udce9' is not UTF-8"):
        find_labelled(root)


def test_further_photos_are_read_in_the_roots(photos_in: Maker, tmp_path: Path) -> None:
    root = photos_in("train/cat", "train/dog")
    assert find_labelled(root).roots == (root / "train",)
    assert find_labelled(root / "train").roots == (root / "train",)


PARTS = st.sampled_from(["train", "Test", "val", "cat", "dog", "images", ".cache", "@eaDir"])
TREES = st.lists(st.lists(PARTS, max_size=4).map("/".join), min_size=1, max_size=6, unique=True)


@given(folders=TREES)
@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_no_photo_is_left_out_without_a_word(
    tmp_path_factory: pytest.TempPathFactory, folders: list[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    photos = {put(root / folder / "0.jpg") for folder in folders}
    try:
        labelled = find_labelled(root)
    except FolderError:
        return
    read = {file.path for file in labelled.files}
    assert read <= photos
    assert len(read) == len(labelled.files)
    assert read == photos or labelled.notes
