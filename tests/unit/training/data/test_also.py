"""Photos of --also: they join train, and no copy of an evaluated photo is among them; new classes are divided."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.config import TrainConfig
from training.data.photos import PhotoSet
from training.data.source import read_data
from training.data.splitting import split_class
from training.errors import DataError


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)


def put(folder: Path, *seeds: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        picture(seed).save(folder / f"{seed}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split, first in (("train", 0), ("val", 100), ("test", 200)):
        put(tmp_path / "data" / split / "cat", *range(first, first + 4))
        put(tmp_path / "data" / split / "dog", *range(first + 50, first + 54))
    return tmp_path / "data"


@pytest.fixture
def also(tmp_path: Path) -> Path:
    put(tmp_path / "captured/labelled/cat", 300, 301)
    return tmp_path / "captured/labelled"


def read(data: Path, also: Path | None, *, new_classes: bool = False) -> PhotoSet:
    return read_data(TrainConfig(data=data, also=also, new_classes=new_classes))


def added(data: Path, also: Path) -> set[str]:
    before = {photo.path for photo in read(data, None).photos}
    return {photo.path.name for photo in read(data, also).photos if photo.path not in before}


def test_they_join_train_alone_with_their_own_class(data: Path, also: Path) -> None:
    photos = read(data, also)
    assert photos.counts("train") == (6, 4)
    assert (photos.counts("val"), photos.counts("test")) == ((4, 4), (4, 4))
    assert "--also adds 2 photos to train" in photos.describe()


def test_an_unsplit_folder_keeps_its_splits(tmp_path: Path, also: Path) -> None:
    put(tmp_path / "flat/cat", *range(20))
    put(tmp_path / "flat/dog", *range(50, 70))
    before, after = read(tmp_path / "flat", None), read(tmp_path / "flat", also)
    for split in ("val", "test"):
        assert before.of(split) == after.of(split)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_copy_of_any_photo_is_left_out_and_counted(data: Path, also: Path, split: str) -> None:
    first = next((data / split / "dog").iterdir())
    (also / "cat/copy.png").write_bytes(first.read_bytes())
    assert added(data, also) == {"300.png", "301.png"}
    assert "left out 1 that are there already" in read(data, also).describe()


@pytest.mark.parametrize(("seed", "is_left_out"), [(0, False), (100, True), (200, True)])
def test_one_that_looks_like_an_evaluated_photo_is_left_out(
    data: Path, also: Path, seed: int, is_left_out: bool
) -> None:
    picture(seed).save(also / "cat/again.jpg", quality=80)
    assert ("again.jpg" not in added(data, also)) == is_left_out


def test_the_same_photo_twice_joins_once_and_in_two_classes_not_at_all(
    data: Path, also: Path
) -> None:
    again = also / "cat/again.png"
    again.write_bytes((also / "cat/300.png").read_bytes())
    assert len(added(data, also)) == 2
    (also / "dog").mkdir()
    again.rename(also / "dog/again.png")
    with pytest.raises(DataError, match="the same photo in two classes"):
        read(data, also)


def test_a_class_that_data_lacks_is_named(data: Path, also: Path) -> None:
    put(also / "horse", 400)
    with pytest.raises(
        DataError, match="the class 'horse', which --data lacks; its classes are cat, dog"
    ):
        read(data, also)


def test_a_folder_without_classes_is_named(data: Path, tmp_path: Path) -> None:
    put(tmp_path / "loose", 400)
    with pytest.raises(DataError, match="no photo in a class folder"):
        read(data, tmp_path / "loose")
    with pytest.raises(DataError, match="--also"):
        read(data, tmp_path / "nowhere")


def test_the_settings_are_read_back_from_config_json(also: Path, data: Path) -> None:
    config = TrainConfig(data=data, also=also)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_a_new_class_comes_behind_those_of_data_and_is_divided_by_hash(
    data: Path, also: Path
) -> None:
    put(also / "ant", *range(400, 420))
    photos = read(data, also, new_classes=True)
    assert photos.class_names == ("cat", "dog", "ant")
    of_ant = {photo.sha256: photo.split for photo in photos.photos if photo.label == 2}
    assert len(of_ant) == 20
    assert of_ant == split_class(of_ant, missing=("val", "test"), seed=0)
    # Those of known classes join train, as ever.
    assert photos.counts("train")[:2] == (6, 4)
    assert photos.counts("val")[:2] == photos.counts("test")[:2] == (4, 4)
    assert "new classes by --new-classes: ant" in photos.describe()


def test_a_photo_of_a_new_class_stays_in_its_split_when_others_come(data: Path, also: Path) -> None:
    put(also / "ant", *range(400, 420))
    before = {p.path: p.split for p in read(data, also, new_classes=True).photos}
    put(also / "ant", *range(420, 440))
    put(also / "bee", *range(500, 510))
    after = {p.path: p.split for p in read(data, also, new_classes=True).photos}
    assert before.items() <= after.items()


@pytest.mark.parametrize("count", [1, 2])
def test_a_new_class_needs_a_photo_for_each_split(data: Path, also: Path, count: int) -> None:
    put(also / "ant", *range(400, 400 + count))
    with pytest.raises(DataError, match=f"has {count} photos? of the new class 'ant'"):
        read(data, also, new_classes=True)
    put(also / "ant", 410, 411)
    assert read(data, also, new_classes=True).counts("test")[2] == 1


def test_of_two_new_photos_that_look_alike_only_the_evaluated_one_stays(
    data: Path, also: Path
) -> None:
    put(also / "ant", *range(400, 430))
    before = read(data, also, new_classes=True)
    tested = next(photo for photo in before.of("test") if photo.label == 2)
    seed = int(tested.path.stem)
    for quality in range(60, 90, 3):
        picture(seed).save(also / f"ant/again-{quality}.jpg", quality=quality)
    after = read(data, also, new_classes=True)
    alike = [p for p in after.photos if p.path == tested.path or "again" in p.path.name]
    assert {photo.split for photo in alike} == {"test"}
    assert "that look like one of val or test" in after.describe()


def test_a_new_class_whose_name_is_nearly_another_s_is_named(data: Path, also: Path) -> None:
    put(also / "Dog", *range(400, 410))
    assert "'dog' and 'Dog'" in read(data, also, new_classes=True).describe()


def test_without_a_new_class_the_flag_changes_nothing(data: Path, also: Path) -> None:
    assert read(data, also, new_classes=True) == read(data, also)
