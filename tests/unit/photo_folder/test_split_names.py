"""Names of split folders, as people write them."""

import pytest

from photo_folder.split_names import split_of, splits_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("Training", "train"), ("TRAIN_SET", "train"), ("train_images", "train"),
        ("trainset", "train"), ("train-data", "train"), ("train2017", "train"),
        ("val", "val"), ("Valid", "val"), ("validation", "val"), ("validation set", "val"), ("dev", "val"),
        ("eval", "val"), ("test", "test"), ("testing", "test"), ("test_photos", "test"), ("holdout", "test"),
        ("hold-out", "test"), ("hold_out_set", "test"),
        ("trains", None), ("trainer", None), ("testers", None), ("valve", None), ("devil", None),
        ("old train", None), ("set", None), ("", None), ("images", None), ("contest", None),
        ("test1", "test"), ("train_1", "train"), ("imgs_train", "train"), ("01_train", "train"), ("02 val", "val"),
        ("tst", "test"), ("Train-Split", "train"), ("dev1", None), ("test123", None), ("123_test", None),
    ],
)  # fmt: skip
def test_split_of(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train", "eval"], {"train": "train", "eval": "val"}),
        (["train", "val", "eval"], {"train": "train", "val": "val", "eval": "test"}),
        (["train", "dev", "Eval_set"], {"train": "train", "dev": "val", "Eval_set": "test"}),
        (["train", "eval", "test", "cat"], {"train": "train", "eval": "val", "test": "test"}),
    ],
)
def test_eval_is_test_beside_another_val(names: list[str], splits: dict[str, str]) -> None:
    assert splits_of(names) == splits


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["seg_train", "seg_test"], {"seg_train": "train", "seg_test": "test"}),
        (["a b train", "a b val", "a b pred"], {"a b train": "train", "a b val": "val"}),
        (["toy_train", "toy_car"], {}),
        (["blood_test", "skin_test"], {}),
        (["seg_train", "test"], {"test": "test"}),
        ([], {}),
    ],
)
def test_what_all_names_begin_with_may_be_anything(
    names: list[str], splits: dict[str, str]
) -> None:
    assert splits_of(names) == splits


def test_a_long_name_takes_no_time() -> None:
    assert split_of("train" + "dataset" * 30 + "x") is None
    assert split_of("train" + "1" * 200) is None
