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
        ("trains", None), ("trainer", None), ("testers", None), ("valve", None), ("devil", None), ("test1", None),
        ("old train", None), ("set", None), ("", None), ("images", None), ("contest", None),
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
