"""Small datasets in their own format on disk, read through torchvision itself."""

import hashlib
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from training.data.photos import read_photos
from training.data.source import find_folder
from training.data.torchvision_sets import (
    PARTS,
    NamedDataset,
    find_dataset,
    unpack_dataset,
    unpack_unlabeled_stl10,
)
from training.errors import DataError, DownloadError

CLASSES = ["airplane", "bird", "car"]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """STL-10's binary files: column-major uint8 planes, labels from 1, folds as lines of indices."""
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 9), ("unlabeled", 4)):
        pixels = generator.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        pixels.tofile(folder / f"{part}_X.bin")
        (np.arange(count, dtype=np.uint8) % 3 + 1).tofile(folder / f"{part}_y.bin")
    (folder / "class_names.txt").write_text("\n".join(CLASSES))
    folds = [" ".join(str(i) for i in range(fold, fold + 30)) for fold in range(10)]
    (folder / "fold_indices.txt").write_text("\n".join(folds))
    for listed in ("train_list", "test_list"):
        names = [name for name, _ in getattr(datasets.STL10, listed)]
        monkeypatch.setattr(datasets.STL10, listed, [[n, md5(folder / n)] for n in names])
    return tmp_path


def test_stl10_keeps_its_parts_labels_and_pixels(stl10: Path) -> None:
    photos = read_photos(unpack_dataset(NamedDataset(name="STL10"), root=stl10))
    assert photos.class_names == ("airplane", "bird", "car")
    assert sum(photos.counts("train")) + sum(photos.counts("val")) == 60
    assert photos.counts("test") == (3, 3, 3)
    raw = np.fromfile(stl10 / "stl10_binary" / "test_X.bin", dtype=np.uint8)
    first = raw.reshape(-1, 3, 96, 96)[0].transpose(2, 1, 0)
    path = next(p.path for p in photos.of("test") if p.path.name == "000000.png")
    assert path.parent.name == "airplane"
    assert np.array_equal(np.asarray(Image.open(path)), first)


def test_stl10_has_folds_and_unlabeled_photos(stl10: Path) -> None:
    fold = unpack_dataset(NamedDataset(name="STL10", fold=2), root=stl10)
    assert len(list((fold / "train").glob("*/*.png"))) == 30
    assert len(list((fold / "test").glob("*/*.png"))) == 9
    assert len(list(unpack_unlabeled_stl10(root=stl10).glob("*.png"))) == 4


def test_a_dataset_is_unpacked_once(stl10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = unpack_dataset(NamedDataset(name="STL10"), root=stl10)
    monkeypatch.delattr(datasets, "STL10")
    assert unpack_dataset(NamedDataset(name="STL10"), root=stl10) == first


def test_cifar10_from_its_pickled_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / datasets.CIFAR10.base_folder
    folder.mkdir()
    generator = np.random.default_rng(1)

    def write(name: str, count: int) -> list[str]:
        rows = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = [number % 3 for number in range(count)]
        (folder / name).write_bytes(pickle.dumps({"data": rows, "labels": labels}))
        return [name, md5(folder / name)]

    monkeypatch.setattr(datasets.CIFAR10, "train_list", [write("data_batch_1", 60)])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [write("test_batch", 6)])
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CLASSES}))
    meta = {**datasets.CIFAR10.meta, "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    photos = read_photos(unpack_dataset(NamedDataset(name="CIFAR10"), root=tmp_path))
    assert photos.class_names == tuple(CLASSES)
    assert photos.counts("test") == (2, 2, 2)


def test_eurosat_links_to_its_files_and_is_split(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    for name in ("Forest", "River"):
        folder = tmp_path / "eurosat" / "2750" / name
        folder.mkdir(parents=True)
        for number in range(40):
            pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}_{number}.jpg")
    photos = read_photos(unpack_dataset(NamedDataset(name="EuroSAT"), root=tmp_path))
    assert photos.class_names == ("Forest", "River")
    assert len(photos.photos) == 80
    assert all(photo.path.is_symlink() for photo in photos.photos)


def test_a_failed_download_says_where_to_put_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.stl10.download_and_extract_archive", refuse)
    with pytest.raises(DownloadError, match="no route to host") as caught:
        unpack_dataset(NamedDataset(name="STL10"), root=tmp_path)
    assert "stl10_binary.tar.gz" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "photos" / "stl10").exists()


def test_names_in_any_case_and_folds() -> None:
    assert find_dataset("stl10:9") == NamedDataset(name="STL10", fold=9)
    assert find_dataset("oxfordiiitpet") == NamedDataset(name="OxfordIIITPet")
    assert find_dataset("photos") is None
    for wrong in ("stl10:10", "stl10:x", "stl10:", "stl10:-1", "cifar10:1"):
        with pytest.raises(DataError, match="stl10:0 to stl10:9"):
            find_dataset(wrong)


def test_torchvision_has_every_dataset_that_is_named() -> None:
    assert [name for name in PARTS if not hasattr(datasets, name)] == []


def write_photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def test_gtsrb_whose_ppm_files_are_not_read_becomes_png(tmp_path: Path) -> None:
    folder = tmp_path / "gtsrb" / "GTSRB"
    for number in range(20):
        write_photo(folder / "Training" / f"{number % 2:05d}" / f"{number}.ppm", number)
    lines = ["Filename;ClassId"]
    for number in range(4):
        write_photo(folder / "Final_Test" / "Images" / f"{number}.ppm", 100 + number)
        lines.append(f"{number}.ppm;{number % 2}")
    (folder.parent / "GT-final_test.csv").write_text("\n".join(lines))
    photos = read_photos(unpack_dataset(NamedDataset(name="GTSRB"), root=tmp_path))
    assert photos.class_names == ("000", "001")
    assert photos.counts("test") == (2, 2)
    assert photos.bad_files == ()
    test_photo = next(photo for photo in photos.of("test") if photo.label == 1)
    originals = {
        np.asarray(Image.open(path)).tobytes() for path in (folder / "Final_Test").rglob("*.ppm")
    }
    assert np.asarray(Image.open(test_photo.path)).tobytes() in originals


def test_caltech101_links_to_its_files_by_category(tmp_path: Path) -> None:
    folder = tmp_path / "caltech101" / "101_ObjectCategories"
    for number, name in enumerate(("BACKGROUND_Google", "Faces", "ant")):
        for image in range(1, 21):
            write_photo(folder / name / f"image_{image:04d}.jpg", 100 * number + image)
    photos = read_photos(unpack_dataset(NamedDataset(name="Caltech101"), root=tmp_path))
    assert photos.class_names == ("Faces", "ant")
    assert len(photos.photos) == 40
    for photo in photos.photos:
        assert photo.path.resolve().parent.name == photos.class_names[photo.label]


def test_sun397_has_nested_class_folders(tmp_path: Path) -> None:
    folder = tmp_path / "SUN397"
    names = ["abbey", "access_road/indoor"]
    for number, name in enumerate(names):
        for image in range(20):
            write_photo(folder / "a" / name / f"sun_{number}{image}.jpg", 100 * number + image)
    (folder / "ClassName.txt").write_text("\n".join(f"/a/{name}" for name in names))
    photos = read_photos(unpack_dataset(NamedDataset(name="SUN397"), root=tmp_path))
    assert photos.class_names == ("abbey", "access_road_indoor")
    assert len(photos.photos) == 40


@pytest.mark.parametrize(
    "name", [name for name in PARTS if getattr(getattr(datasets, name), "_URL", None)]
)
def test_the_folder_named_in_the_error_is_where_torchvision_looks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_in: list[str] = []

    def refuse(url: str, download_root: str, **_: object) -> None:
        looked_in.append(str(Path(download_root).resolve()))
        raise URLError("no route to host")

    module = getattr(datasets, name).__module__
    monkeypatch.setattr(f"{module}.download_and_extract_archive", refuse)
    with pytest.raises(DownloadError) as caught:
        unpack_dataset(NamedDataset(name=name), root=tmp_path)
    assert f"put it into {looked_in[0]}, then" in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="'stl11' does not exist, .*stl10, cifar10, .*imagenette"):
        find_folder(Path("stl11"))


def test_of_two_processes_unpacking_at_once_the_first_wins(
    stl10: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def renamed_by_another_first(stage: Path, target: Path) -> Path:
        write_photo(target / "train" / "bird" / "first.png", 0)
        return rename(stage, target)

    monkeypatch.setattr(Path, "rename", renamed_by_another_first)
    folder = unpack_dataset(NamedDataset(name="STL10"), root=stl10)
    assert [path.name for path in folder.rglob("*.png")] == ["first.png"]
    assert [path.name for path in folder.parent.iterdir()] == ["stl10"]
