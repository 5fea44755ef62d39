"""Which photos are learned from without a label, and what a strong view of one is."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.unlabeled import Command, candidates, table
from training.config import TrainConfig
from training.data.photos import PhotoSet, read_photos
from training.data.source import read_data
from training.data.strong_view import StrongView
from training.data.unlabeled import NO_LABEL, with_unlabeled
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


def test_what_judges_is_not_learned_from_under_another_name(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "more" / "deeper", range(300, 330))
    for split in ("val", "test"):
        copied = next((folder / split / "cat").iterdir())
        (tmp_path / "more" / f"{split}.png").write_bytes(copied.read_bytes())
    (tmp_path / "more" / "broken.jpg").write_bytes(b"no photo")
    photos = with_unlabeled(read_photos(folder), tmp_path / "more")
    assert names(photos) == {f"{seed}.png" for seed in range(300, 330)}
    assert [bad.path.name for bad in photos.bad_files] == ["broken.jpg"]


def test_other_unlabeled_photos_are_another_set(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "more", range(300, 303))
    photos = read_photos(folder)
    with_more = with_unlabeled(photos, tmp_path / "more")
    (tmp_path / "more" / "300.png").unlink()
    prints = {photos.fingerprint, with_more.fingerprint}
    assert len({*prints, with_unlabeled(photos, tmp_path / "more").fingerprint}) == 3


def test_refuses_what_cannot_teach(folder: Path, tmp_path: Path) -> None:
    photos = read_photos(folder)
    with pytest.raises(DataError, match="is no folder"):
        with_unlabeled(photos, tmp_path / "nowhere")
    with pytest.raises(DataError, match="no photo that --data has not"):
        with_unlabeled(photos, folder / "train")


@given(seed=st.integers(0, 2**32))
def test_a_strong_view_follows_from_its_seed(seed: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    first, again = (StrongView()(image, np.random.default_rng(seed)) for _ in range(2))
    assert (first.size, first.mode) == ((24, 24), "RGB")
    assert first.tobytes() == again.tobytes()


def test_a_strong_view_is_another_photo_nearly_always() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    views = [StrongView()(image, np.random.default_rng(seed)).tobytes() for seed in range(50)]
    assert len(set(views)) > 45


def test_the_benchmark_changes_nothing_but_what_is_learned_from() -> None:
    command = Command(data=Path("clothing"))
    head, everything, both = (one.to_dict() for one in candidates(command).values())
    changed = {name for name in both if both[name] != everything[name]}
    assert changed == {"unlabeled", "epochs"}
    assert {name for name in head if head[name] != everything[name]} == {"freeze"}


def test_the_benchmark_s_table_has_the_best_first() -> None:
    results = {
        "labels_per_class": 10, "image_size_px": 64, "test_n": 372, "unlabeled_n": 2968,
        "accuracies": {"labels alone": [0.4, 0.5], "both": [0.5, 0.6]},
    }  # fmt: skip
    lines = table(results).splitlines()
    assert lines[2:4] == ["| both | **55.0 ± 7.1 %** |", "| labels alone | 45.0 ± 7.1 % |"]
    assert "2 draws" in lines[-1]
