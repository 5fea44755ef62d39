"""Fewer labelled photos, and unlabeled ones beside them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from training.config import TrainConfig
from training.data.photos import Photo, PhotoSet, read_photos
from training.data.source import NO_LABEL, keep_per_class, read_data, with_unlabeled
from training.errors import DataError


def put(folder: Path, seeds: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, first in (("train", 0), ("val", 100), ("test", 200)):
        put(tmp_path / split / "cat", range(first, first + 6))
        put(tmp_path / split / "dog", range(first + 50, first + 56))
    return tmp_path


def names(photos: PhotoSet) -> set[str]:
    return {photo.path.name for photo in photos.unlabeled}


def test_the_rest_of_train_can_be_the_unlabeled_photos(folder: Path) -> None:
    config = TrainConfig(data=folder, photos_per_class=2, unlabeled=folder / "train")
    photos = read_data(config)
    assert photos.counts("train") == (2, 2)
    labelled = {photo.path.name for photo in photos.of("train")}
    every = {path.name for path in (folder / "train").rglob("*.png")}
    assert names(photos) == every - labelled
    assert {photo.label for photo in photos.unlabeled} == {NO_LABEL}
    assert "8 unlabeled" in photos.describe()


def test_no_photo_of_val_or_test_is_trained_on_under_another_name(
    folder: Path, tmp_path: Path
) -> None:
    put(tmp_path / "unlabeled" / "deeper", range(300, 330))
    for split in ("val", "test"):
        copied = next((folder / split / "cat").iterdir())
        (tmp_path / "unlabeled" / f"{split}.png").write_bytes(copied.read_bytes())
    (tmp_path / "unlabeled" / "broken.jpg").write_bytes(b"no photo")
    photos = with_unlabeled(read_photos(folder), tmp_path / "unlabeled")
    assert names(photos) == {f"{seed}.png" for seed in range(300, 330)}
    assert [bad.path.name for bad in photos.bad_files] == ["broken.jpg"]


def test_the_unlabeled_photos_may_lie_beside_the_splits(folder: Path) -> None:
    put(folder / "more", range(300, 303))
    (folder / "more" / "notes.txt").write_text("not a photo")
    with pytest.raises(DataError, match="beside them more with 3 photos"):
        read_data(TrainConfig(data=folder))
    photos = read_data(TrainConfig(data=folder, unlabeled=folder / "more"))
    assert names(photos) == {"300.png", "301.png", "302.png"}
    assert photos.notes == (
        "passed by 1 file (not photos: 1 .txt)",
        "--unlabeled: passed by 1 file (not photos: 1 .txt)",
    )


def test_the_fingerprint_depends_on_the_unlabeled_photos(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "unlabeled", range(300, 303))
    photos = read_photos(folder)
    with_more = with_unlabeled(photos, tmp_path / "unlabeled")
    (tmp_path / "unlabeled" / "300.png").unlink()
    prints = {photos.fingerprint, with_more.fingerprint}
    assert len({*prints, with_unlabeled(photos, tmp_path / "unlabeled").fingerprint}) == 3


def test_a_missing_folder_or_one_without_new_photos_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    photos = read_photos(folder)
    with pytest.raises(DataError, match="is not a folder"):
        with_unlabeled(photos, tmp_path / "nowhere")
    with pytest.raises(DataError, match="no photo that is not in --data"):
        with_unlabeled(photos, folder / "train")


def photo_set(splits: Iterable[tuple[str, int]]) -> PhotoSet:
    photos = tuple(
        Photo(
            path=Path(f"{number}.jpg"),
            label=label,
            split=split,
            sha256=hashlib.sha256(bytes([number])).hexdigest(),
        )
        for number, (split, label) in enumerate(splits)
    )
    return PhotoSet(folder=Path("photos"), class_names=("a", "b"), photos=photos)


@given(
    splits=st.lists(
        st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 1)), max_size=40
    ),
    count=st.integers(1, 20),
)
def test_a_larger_count_keeps_what_a_smaller_one_kept(
    splits: list[tuple[str, int]], count: int
) -> None:
    whole = photo_set(splits)
    few, more = keep_per_class(whole, count), keep_per_class(whole, count + 1)
    assert set(few.photos) <= set(more.photos) <= set(whole.photos)
    assert few.counts("train") == tuple(min(count, n) for n in whole.counts("train"))
    assert few.of("val") == whole.of("val")
    assert few.of("test") == whole.of("test")
