"""Groups of photos: found by folder, name or EXIF time, never on both sides of a split, and suggested."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from headswap.cli import main
from training.config import TrainConfig
from training.data.group_hints import suggest_group_by
from training.data.groups import burst_groups, regex_group, split_groups
from training.data.photos import SPLITS, PhotoSet, read_photos
from training.data.splitting import TEST_SHARE, VAL_SHARE
from training.errors import ConfigError, DataError

HEIC = Path(__file__).parents[2] / "handlers" / "images" / "heic"
SAMPLE = Path(__file__).parents[4] / "sample_data" / "clothing"


def put(path: Path, *, taken: str = "", camera: str = "Pixel 9") -> Path:
    """Write a photo with content of its own, and with the time it was taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(str(path).encode()[-16:], "big")
    image = Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    )
    exif = Image.Exif()
    if taken:
        exif[ExifTags.Base.Model] = camera
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    image.save(path, exif=exif)
    return path


def splits_of(photos: PhotoSet) -> dict[str | None, set[str]]:
    splits: dict[str | None, set[str]] = {}
    for photo in photos.photos:
        splits.setdefault(photo.group, set()).add(photo.split)
    return splits


@pytest.fixture
def products(tmp_path: Path) -> Path:
    """Return 2 classes of 12 products, each with a folder of 4 photos; the names say nothing."""
    for name in ("boot", "shoe"):
        for product in range(12):
            for number in range(4):
                put(tmp_path / "photos" / name / f"{name}{product}" / f"{number}.jpg")
    return tmp_path / "photos"


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Return 12 patients with 3 photos in each of 2 classes."""
    for name in ("healthy", "ill"):
        for patient in range(12):
            for number in range(3):
                put(tmp_path / "photos" / name / f"patient{patient}_{number}.jpg")
    return tmp_path / "photos"


def test_folders_are_groups(products: Path) -> None:
    put(products / "boot" / "boot0" / "deeper" / "9.jpg")
    photos = read_photos(products, group_by="folder")
    splits = splits_of(photos)
    assert len(splits) == 24
    assert all(len(of_group) == 1 for of_group in splits.values())
    assert Counter(photo.group for photo in photos.photos)["boot0"] == 5
    assert all(min(photos.counts(split)) >= 4 for split in SPLITS)
    assert "24 groups of photos, each in one split" in photos.describe()


def test_a_group_may_hold_photos_of_several_classes(patients: Path) -> None:
    photos = read_photos(patients, group_by="patient[0-9]+")
    splits = splits_of(photos)
    assert set(splits) == {f"patient{number}" for number in range(12)}
    assert all(len(of_group) == 1 for of_group in splits.values())
    assert all(min(photos.counts(split)) >= 3 for split in SPLITS)


def test_without_groups_the_same_photos_lie_on_both_sides(patients: Path) -> None:
    # Otherwise the tests above would prove nothing.
    by_name = {}
    for photo in read_photos(patients).photos:
        by_name.setdefault(photo.path.name.split("_")[0], set()).add(photo.split)
    assert any(len(splits) > 1 for splits in by_name.values())


def test_adding_photos_moves_no_group(products: Path) -> None:
    before = splits_of(read_photos(products, group_by="folder"))
    put(products / "boot" / "boot3" / "new.jpg")
    assert splits_of(read_photos(products, group_by="folder")) == before


@given(count=st.integers(100, 400), seed=st.integers(0, 99))
def test_a_new_group_moves_two_others_at_most(count: int, seed: int) -> None:
    members = {str(number): {0} for number in range(count)}
    before = split_groups(members, missing=("val", "test"), seed=seed)
    after = split_groups({**members, "new": {0}}, missing=("val", "test"), seed=seed)
    # One at the boundary of val and one at that of test, where chance has left these too small or too large.
    assert sum(before[group] != after[group] for group in members) <= 2


@given(count=st.integers(3, 400), seed=st.integers(0, 99))
def test_no_split_has_much_more_or_less_than_its_share(count: int, seed: int) -> None:
    splits = split_groups(
        {str(number): {0} for number in range(count)}, missing=("val", "test"), seed=seed
    )
    counts = Counter(splits.values())
    for split, share in (("test", TEST_SHARE), ("val", VAL_SHARE)):
        low, high = max(1, int(count * share * 2 / 3)), count * share * 4 / 3 + 1
        assert low <= counts[split] <= high


def test_of_a_group_that_folders_divide_only_the_later_split_is_kept(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("val", 10), ("test", 20)):
        for name in ("cat", "dog"):
            for number in range(first, first + 5):
                put(tmp_path / split / name / f"{name}{number}_a.jpg")
    dropped = [
        put(tmp_path / "train" / "cat" / "cat21_b.jpg"),
        put(tmp_path / "val/dog/dog22_b.jpg"),
    ]
    dropped.append(put(tmp_path / "train" / "dog" / "dog11_b.jpg"))
    # The capturing group alone names it, so all cats are one.
    with pytest.raises(DataError, match="'cat' has no train photo.* 23 photos whose group is in"):
        read_photos(tmp_path, group_by=r"(cat|dog)\d+_")
    photos = read_photos(tmp_path, group_by=r"[a-z]+\d+(?=_)")
    assert sorted(leak.dropped for leak in photos.group_leaks) == sorted(dropped)
    assert [photos.counts(split) for split in SPLITS] == [(5, 5)] * 3
    assert all(len(splits) == 1 for splits in splits_of(photos).values())
    assert "left out 3 photos whose group is in another split" in photos.describe()


def test_val_is_taken_from_train_by_group(products: Path, tmp_path: Path) -> None:
    for name in ("boot", "shoe"):
        (tmp_path / "split" / "test" / name).mkdir(parents=True)
        (products / name / f"{name}0").rename(tmp_path / "split" / "test" / name / f"{name}0")
    products.rename(tmp_path / "split" / "train")
    photos = read_photos(tmp_path / "split", group_by="folder")
    assert photos.counts("test") == (4, 4)
    assert min(photos.counts("val")) >= 4
    assert all(len(splits) == 1 for splits in splits_of(photos).values())


@pytest.mark.parametrize(
    ("pattern", "path", "group"),
    [
        ("patient[0-9]+", "ill/patient12_3.jpg", "patient12"),
        (r"(p\d+)_[^/]*(left|right)", "a/p1_x_left.jpg", "p1/left"),
        (r"(\d+)-(left)?", "a/7-x.jpg", "7"),
        ("patient[0-9]+", "ill/other.jpg", None),
        ("x*", "a/b.jpg", None),
        ("(x)?", "a/b.jpg", None),
    ],
)
def test_a_regular_expression_names_the_group(pattern: str, path: str, group: str | None) -> None:
    assert regex_group(pattern, path) == group


def test_a_burst_is_one_camera_within_seconds(tmp_path: Path) -> None:
    times = ["10:00:00", "10:00:04", "10:00:09", "10:00:15", "10:00:16"]
    photos = [put(tmp_path / f"{t}.jpg", taken=f"2026:01:02 {t}") for t in reversed(times)]
    photos.append(put(tmp_path / "other.jpg", taken="2026:01:02 10:00:04", camera="X100"))
    photos.append(put(tmp_path / "none.jpg"))
    first, second = "Pixel 9 2026-01-02T10:00:00", "Pixel 9 2026-01-02T10:00:15"
    assert burst_groups(photos) == [
        second, second, first, first, first, "X100 2026-01-02T10:00:04", None
    ]  # fmt: skip


def test_heic_has_a_time_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "iPhone"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:01:02 10:00:04"
    photo, timeless = tmp_path / "photo.heic", HEIC / "orientation_1.heic"
    # Its own EXIF data have an orientation and no time.
    before, name, _ = timeless.read_bytes().partition(b"Exif\0\0MM")
    assert name
    photo.write_bytes(before + exif.tobytes())
    assert burst_groups([photo, timeless]) == ["iPhone 2026-01-02T10:00:04", None]


def test_bursts_are_in_one_split(tmp_path: Path) -> None:
    for name, hour in (("cat", 1), ("dog", 2)):
        for burst in range(8):
            for number in range(3):
                taken = f"2026:01:02 {hour:02}:{burst:02}:{number:02}"
                put(tmp_path / name / f"{burst}{number}.jpg", taken=taken)
    splits = splits_of(read_photos(tmp_path, group_by="exif-burst"))
    assert len(splits) == 16
    assert all(len(of_group) == 1 for of_group in splits.values())


@given(content=st.binary(max_size=200), taken=st.text(max_size=30))
def test_damaged_exif_data_is_no_time(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, taken: str
) -> None:
    path = tmp_path_factory.mktemp("exif") / "photo.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=b"Exif\0\0" + content)
    assert burst_groups([path]) == [None]
    text = put(path, taken=f"{taken}x")
    assert burst_groups([text, path.with_name("missing")]) == [None, None]


GROUPS = st.dictionaries(
    st.text(min_size=1, max_size=4), st.sets(st.integers(0, 4), min_size=1), max_size=40
)
SINGLE = st.dictionaries(
    st.text(min_size=1, max_size=4), st.integers(0, 3).map(lambda n: {n}), max_size=40
)
MISSING = st.sampled_from([("val", "test"), ("val",), ("test",), ()])


@given(members=GROUPS, missing=MISSING, seed=st.integers(0, 9))
def test_every_group_has_a_split_and_no_label_loses_train(members, missing, seed) -> None:
    splits = split_groups(members, missing=missing, seed=seed)
    assert splits == split_groups(dict(reversed(members.items())), missing=missing, seed=seed)
    assert set(splits) == set(members)
    assert set(splits.values()) <= {"train", *missing}


@given(members=SINGLE, missing=MISSING, seed=st.integers(0, 9))
def test_each_label_with_enough_groups_is_in_every_split(members, missing, seed) -> None:
    splits = split_groups(members, missing=missing, seed=seed)
    for label in range(4):
        of_label = [splits[group] for group, labels in members.items() if label in labels]
        if len(of_label) > len(missing):
            assert set(of_label) == {"train", *missing}


def test_many_groups_are_split_in_the_right_proportions() -> None:
    splits = split_groups({str(n): {0} for n in range(4_000)}, missing=("val", "test"), seed=0)
    counts = Counter(splits.values())
    # Standard deviation of the share 0.0056.
    assert abs(counts["test"] / 4_000 - TEST_SHARE) < 0.02
    assert abs(counts["val"] / 4_000 - VAL_SHARE) < 0.02


def test_too_few_groups_are_refused(products: Path) -> None:
    with pytest.raises(
        DataError, match=r"class 'boot' into 1 group, and train, val and test need one each, 3"
    ):
        read_photos(products, group_by="(boot|shoe)/")


@pytest.mark.parametrize(
    ("group_by", "reason"),
    [
        ("folder", "no photo lies in a folder inside its class folder"),
        ("exif-burst", "no photo has the time it was taken"),
        ("nothing", "it matches no path"),
    ],
)
def test_no_group_at_all_is_refused(patients: Path, group_by: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_photos(patients, group_by=group_by)


@pytest.mark.parametrize("group_by", ["(", "", "[a"])
def test_a_wrong_expression_is_one_sentence(group_by: str) -> None:
    with pytest.raises(ConfigError, match="--group-by .* give folder, exif-burst or a regular"):
        TrainConfig(data=Path("photos"), group_by=group_by)


def hint(photos: PhotoSet, group_by: str | None = None) -> str:
    return suggest_group_by(photos, group_by=group_by, near_duplicates=()) or ""


def test_folders_suggest_groups(products: Path) -> None:
    assert "--group-by folder keeps each group" in hint(read_photos(products))
    assert hint(read_photos(products, group_by="folder"), "folder") == ""


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("patient{group}_{number}", r"'([^/_ -]+)[_ -][^/]*$'"),
        ("{group}-{number}", r"'([^/_ -]+)[_ -][^/]*$'"),
        ("video_{group} frame ({number})", r"'([^/]*[^/\d])\d+\D*$'"),
        ("p{group}{letter}", r"'([^/]*\d)[A-Za-z]\.[^/.]*$'"),
        ("IMG_{group:08}_{number}", r"'([^/]*[^/\d])\d+\D*$'"),
    ],
)
def test_the_suggested_expression_finds_the_groups(tmp_path: Path, name: str, pattern: str) -> None:
    for class_name in ("a", "b"):
        for group in range(8):
            for number in range(4):
                put(
                    tmp_path
                    / class_name
                    / f"{name.format(group=group, number=number, letter='abcd'[number])}.jpg"
                )
    said = hint(read_photos(tmp_path))
    assert f"--group-by {pattern} keeps" in said
    grouped = read_photos(tmp_path, group_by=pattern.strip("'"))
    assert len(splits_of(grouped)) == 8
    assert all(len(splits) == 1 for splits in splits_of(grouped).values())


@pytest.mark.parametrize(
    "name", ["{number:04}", "IMG_{number:04}", "{number:032x}", "cat ({number})"]
)
def test_plain_numbers_suggest_nothing(tmp_path: Path, name: str) -> None:
    for class_name in ("a", "b"):
        for number in range(40):
            put(tmp_path / class_name / f"{name.format(number=number * 7919)}.jpg")
    assert hint(read_photos(tmp_path)) == ""


def test_groups_that_the_folders_keep_apart_suggest_nothing(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("val", 10), ("test", 20)):
        for name in ("a", "b"):
            for group in range(first, first + 5):
                for number in range(3):
                    put(tmp_path / split / name / f"p{group}_{number}.jpg")
    assert hint(read_photos(tmp_path)) == ""


def test_the_sample_suggests_nothing() -> None:
    assert hint(read_photos(SAMPLE)) == ""


def test_near_duplicates_suggest_groups(patients: Path) -> None:
    for path in patients.rglob("*.jpg"):
        path.rename(path.with_name(f"{path.stem.replace('_', '').replace('patient', '9')}.jpg"))
    photos = read_photos(patients)
    near = {photo.path for photo in photos.photos if photo.split != "train"}
    assert suggest_group_by(photos, group_by=None, near_duplicates=()) is None
    said = suggest_group_by(photos, group_by=None, near_duplicates=near) or ""
    assert f"{len(near)} of {len(near)} photos of val and test are near-duplicates" in said


def test_data_check_warns_and_takes_the_flag(
    patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["data", "check", str(patients), "--contact-sheet", str(tmp_path / "sheet.png")]
    main(check)
    printed = " ".join(capsys.readouterr().out.split())
    assert "seem to belong to a group that is also in train" in printed
    main([*check, "--group-by", "patient[0-9]+"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "12 groups of photos, each in one split" in printed
    assert "seem to belong" not in printed
    assert main([*check, "--group-by", "("]) == 2
