"""`headswap data audit` finds wrong labels planted among real photos."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from headswap.cli import main

ROOT = Path(__file__).parents[3]
CLASSES = ("dress", "hat", "pants", "shoes", "t-shirt")
SHARE = 0.08


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Return a folder of real photos with 8 % of them in another class's folder, and the true class of those."""
    photos = sorted((ROOT / "sample_data" / "clothing" / "train").glob("*/*.jpg"))
    photos = [photo for photo in photos if photo.parent.name in CLASSES]
    generator = np.random.default_rng(0)
    wrong = generator.choice(len(photos), round(SHARE * len(photos)), replace=False)
    truth: dict[str, str] = {}
    for index, photo in enumerate(photos):
        name = photo.parent.name
        # Every class has a 000.jpg.
        file_name = f"{name}-{photo.name}"
        if index in wrong:
            truth[file_name] = name
            others = [other for other in CLASSES if other != name]
            name = others[generator.integers(len(others))]
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "photos" / name / file_name)
    assert len(list(tmp_path.rglob("*.jpg"))) == len(photos)
    return tmp_path / "photos", truth


def test_planted_labels_are_found_moved_and_moved_back(
    planted: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, truth = planted
    before = sorted(folder.rglob("*.jpg"))
    audit = ["data", "audit", str(folder), "--out", str(tmp_path / "audit")]
    assert main(audit) == 0
    with (tmp_path / "audit" / "suspects.csv").open(newline="") as file:
        suspects = [row for row in csv.DictReader(file) if row["reason"] == "label"]
    found = [row for row in suspects if Path(row["path"]).name in truth]
    assert len(found) / len(suspects) >= 0.7
    assert len(found) / len(truth) >= 0.7
    right = [row for row in found if row["label"] == truth[Path(row["path"]).name]]
    assert len(right) / len(found) >= 0.7
    assert main([*audit, "--apply", str(tmp_path / "audit" / "suspects.csv")]) == 0
    for row in right:
        assert (folder / row["label"] / Path(row["path"]).name).exists()
    assert len(sorted(folder.rglob("*.jpg"))) == len(before)
    # The features are those of the first audit: no photo has changed.
    features = (tmp_path / "audit" / "features.safetensors").stat().st_mtime_ns
    assert main(audit) == 0
    assert (tmp_path / "audit" / "features.safetensors").stat().st_mtime_ns == features
    assert main([*audit, "--undo"]) == 0
    assert sorted(folder.rglob("*.jpg")) == before
