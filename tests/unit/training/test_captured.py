"""The capture folder as unlabeled photos: each photo is used once, and none that is evaluated."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from storage.atomic import link_or_copy
from tests.unit.training.data.test_also import picture, put
from training.config import TrainConfig
from training.data.photos import PhotoSet
from training.data.source import read_data, with_absolute_paths
from training.errors import DataError


def keep(captured: Path, seeds: Sequence[int], *, label: str | None = None) -> list[str]:
    """Keep photos as the server does, labelled as the page does; return their sha256s."""
    (captured / "photos").mkdir(parents=True, exist_ok=True)
    (captured / "answers.jsonl").touch()
    kept = []
    for seed in seeds:
        picture(seed).save(captured / "photo.png")
        kept.append(sha256((captured / "photo.png").read_bytes()).hexdigest())
        photo = (captured / "photo.png").rename(captured / f"photos/{kept[-1]}.png")
        if label is not None:
            (captured / label).mkdir(parents=True, exist_ok=True)
            link_or_copy(photo, captured / label / photo.name)
    return kept


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split, first in (("train", 0), ("val", 100), ("test", 200)):
        put(tmp_path / "data" / split / "cat", *range(first, first + 4))
        put(tmp_path / "data" / split / "dog", *range(first + 50, first + 54))
    return tmp_path / "data"


def read(data: Path, captured: Path, name: str) -> PhotoSet:
    return read_data(TrainConfig(data=data, also=captured / "labelled", unlabeled=captured / name))


@pytest.mark.parametrize("name", ["photos", "", "unlabelled", "unlabeled"])
def test_photos_with_a_label_are_not_unlabeled(data: Path, tmp_path: Path, name: str) -> None:
    captured = tmp_path / "captured"
    labelled = keep(captured, range(300, 304), label="labelled/cat")
    keep(captured, range(310, 312), label="none_of_these")
    waiting = keep(captured, range(320, 325))
    # A version that an earlier improvement trained on lies in the folder too.
    put(captured / "improvements/1.1/labels/test/dog", 330)
    photos = read(data, captured, name)
    assert {photo.sha256 for photo in photos.unlabeled} == set(waiting)
    joined = {photo.sha256 for photo in photos.of("train")}
    assert set(labelled) <= joined
    assert len(photos.of("train")) == 8 + len(labelled)


def test_a_photo_that_looks_like_an_evaluated_one_is_not_trained_on(
    data: Path, tmp_path: Path
) -> None:
    captured = tmp_path / "captured"
    keep(captured, [300], label="labelled/cat")
    # 100 and 200 are photos of val and test, sent to the server in other bytes.
    for seed in (100, 200):
        picture(seed).save(captured / "photo.jpg", quality=80)
        name = sha256((captured / "photo.jpg").read_bytes()).hexdigest()
        (captured / "photo.jpg").rename(captured / f"photos/{name}.jpg")
    waiting = keep(captured, [320])
    photos = read(data, captured, "photos")
    assert {photo.sha256 for photo in photos.unlabeled} == set(waiting)
    assert "--unlabeled: left out 2 that look like one of val or test" in photos.describe()


def test_where_nothing_is_left_it_is_refused(data: Path, tmp_path: Path) -> None:
    keep(tmp_path / "captured", [300, 301], label="labelled/cat")
    with pytest.raises(DataError, match="holds no photo that is not in --data already"):
        read(data, tmp_path / "captured", "photos")


def test_any_other_folder_is_read_whole(data: Path, tmp_path: Path) -> None:
    put(tmp_path / "more/photos", 400)
    put(tmp_path / "more/labelled/cat", 401)
    photos = read_data(TrainConfig(data=data, unlabeled=tmp_path / "more"))
    assert len(photos.unlabeled) == 2


def test_the_run_records_the_folder_of_the_photos(tmp_path: Path) -> None:
    captured = tmp_path / "captured"
    keep(captured, [300])
    config = TrainConfig(data=tmp_path, unlabeled=captured / "unlabelled")
    assert with_absolute_paths(config).unlabeled == captured / "photos"
