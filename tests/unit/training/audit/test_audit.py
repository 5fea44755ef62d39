"""What is suspected, and how it is shown, on features made up for the purpose."""

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.audit.audit import Audit, audit_labels
from training.audit.confident_learning import find_label_issues
from training.audit.out_of_fold import assign_folds, out_of_fold_probabilities
from training.audit.outliers import outlier_scores
from training.audit.page import write_page, write_table_of
from training.data.duplicates import NearDuplicate
from training.data.photos import Photo

CLASSES = ("cat", "dog", "<script>alert(1)</script>")


def blobs(counts: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, list[int]]:
    """Return features `(N, 8)`, one cluster for each class, and labels."""
    generator = np.random.default_rng(seed)
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    centres = 8 * np.eye(8)[: len(counts)]
    noise = generator.normal(size=(len(labels), 8))
    return torch.tensor(centres[labels] + noise, dtype=torch.float32), labels


def photos_of(labels: list[int], folder: Path = Path("photos")) -> list[Photo]:
    return [
        Photo(path=folder / f"{number}.jpg", label=label, split="train", sha256=str(number))
        for number, label in enumerate(labels)
    ]


def audit_of(labels: list[int], features: torch.Tensor, **options: object) -> Audit:
    return audit_labels(photos_of(labels), features, class_names=CLASSES, **options)  # type: ignore[arg-type]


def test_planted_labels_are_suspected_with_the_class_they_had() -> None:
    features, labels = blobs((40, 40, 40))
    wrong = [3, 50, 90]
    planted = [(label + 1) % 3 if i in wrong else label for i, label in enumerate(labels)]
    suspects = audit_of(planted, features).of("label")
    assert sorted(int(suspect.photo.path.stem) for suspect in suspects) == wrong
    assert all(s.suggested == labels[int(s.photo.path.stem)] for s in suspects)
    assert all(s.probability > s.given_probability for s in suspects)


def test_right_labels_are_not_suspected() -> None:
    features, labels = blobs((40, 40, 40))
    assert audit_of(labels, features).of("label") == []


def test_the_estimated_number_is_suspected_by_margin() -> None:
    # Thresholds are 0.54 and 0.75. Of the four photos of class 0, three are confident, one of them of class 1: a third
    # of four labels, so 1, is wrong. The lowest margin is suspected, -0.6.
    probabilities = np.array(
        [[0.2, 0.8], [0.35, 0.65], [1.0, 0.0], [0.6, 0.4], [0.25, 0.75], [0.25, 0.75]]
    )
    issues = find_label_issues(probabilities, np.array([0, 0, 0, 0, 1, 1]))
    assert issues.suspect_count == 1
    assert issues.suspects.tolist() == [0]
    assert issues.ranking.tolist()[:2] == [0, 1]
    assert issues.suggested.tolist() == [1, 1, 1, 1, 0, 0]


def test_copies_are_in_one_fold_and_classes_evenly_divided() -> None:
    labels = [0] * 20 + [1] * 10
    folds = assign_folds(labels, copies=[(0, 1), (1, 2), (3, 25)], folds=5)
    assert folds[0] == folds[1] == folds[2]
    assert folds[3] == folds[25]
    counts = np.bincount(folds[:20], minlength=5)
    assert counts.max() - counts.min() <= 2
    assert set(folds[20:]) == set(range(5))


def test_a_photo_is_not_classified_by_a_copy_of_itself() -> None:
    # Features without meaning: only a copy in another fold could give a label away.
    features = torch.randn(40, 64, generator=torch.Generator().manual_seed(0))
    features, labels = torch.cat([features, features]), torch.tensor([0, 1] * 40)
    pairs = [(index, index + 40) for index in range(40)]
    accuracy = {}
    for name, copies in (("together", pairs), ("apart", [])):
        folds = assign_folds(labels.tolist(), copies=copies, folds=5)
        probabilities = out_of_fold_probabilities(features, labels, folds, class_count=2)
        accuracy[name] = (probabilities.argmax(1) == labels.numpy()).mean()
    assert accuracy["apart"] > 0.8
    assert accuracy["together"] < 0.7


def test_probabilities_are_those_of_photos_not_seen() -> None:
    features, labels = blobs((10, 10))
    folds = assign_folds(labels, copies=[], folds=5)
    probabilities = out_of_fold_probabilities(features, torch.tensor(labels), folds, class_count=2)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    other = torch.tensor(labels)
    other[0] = 1
    changed = out_of_fold_probabilities(features, other, folds, class_count=2)
    same_fold = folds == folds[0]
    np.testing.assert_allclose(changed[same_fold], probabilities[same_fold], atol=1e-4)
    assert not np.allclose(changed[~same_fold], probabilities[~same_fold], atol=1e-4)


def test_classes_of_few_photos_are_not_checked_and_named() -> None:
    features, labels = blobs((30, 30, 2))
    audit = audit_of(labels, features)
    assert audit.small_classes == (CLASSES[2],)
    assert audit.of("label") == []
    features, labels = blobs((30, 3, 2))
    assert audit_of(labels, features).suspects == ()


def test_a_copy_under_another_label_is_suspected_once() -> None:
    features, labels = blobs((30, 30, 0))
    features[40] = features[2]
    photos = photos_of(labels)
    pair = NearDuplicate(first=photos[2], second=photos[40], difference=0.0)
    audit = audit_labels(photos, features, class_names=CLASSES, near_duplicates=[pair])
    named = [suspect for suspect in audit.suspects if suspect.photo.path == photos[40].path]
    assert len(named) == 1
    assert named[0].suggested == 0
    assert all(suspect.photo.path != photos[2].path for suspect in audit.suspects)


def test_the_farthest_photo_of_a_class_is_its_outlier() -> None:
    features, labels = blobs((40, 40))
    features[7] = -features[7] * 3
    scores = outlier_scores(features, np.array(labels))
    assert scores.argmax() == 7
    audit = audit_of(labels, features)
    assert 7 in {int(suspect.photo.path.stem) for suspect in audit.suspects}


def test_a_class_of_one_photo_many_times_has_no_outliers() -> None:
    features = torch.ones(20, 4)
    assert not outlier_scores(features, np.zeros(20, np.int64)).any()


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))


def test_names_cannot_break_the_page_and_a_vanished_photo_is_named(tmp_path: Path) -> None:
    features, labels = blobs((20, 20, 20))
    planted = [2 if index in (0, 1) else label for index, label in enumerate(labels)]
    hostile = tmp_path / '"><img src=x onerror=alert(1)>.jpg'
    photos = photos_of(planted, tmp_path)
    photos[0] = Photo(path=hostile, label=2, split="train", sha256="0")
    Image.new("RGB", (300, 100), "red").save(hostile, "JPEG")
    audit = audit_labels(photos, features, class_names=CLASSES)
    write_page(audit, tmp_path, tmp_path / "audit.html", apply_command="headswap <data>")
    text = (tmp_path / "audit.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert [image["alt"] for image in page.images] == [hostile.name]
    assert str(page.images[0]["src"]).startswith("data:image/jpeg;base64,")
    assert "has vanished" in text
    write_table_of(audit, tmp_path, tmp_path / "suspects.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "suspects.csv").read_text())))
    assert rows[0]["given_label"] == CLASSES[2]
    assert {row["path"] for row in rows} >= {hostile.name, "1.jpg"}
    assert {row["label"] for row in rows if row["reason"] == "label"} == {"cat"}


@pytest.mark.parametrize(
    "name", ["a\nb.jpg", "=1+1.jpg", "ünï.jpg", b"\xff.jpg".decode(errors="surrogateescape")]
)
def test_any_file_name_can_be_listed(tmp_path: Path, name: str) -> None:
    features, labels = blobs((20, 20))
    photos = photos_of([1, *labels[1:]], tmp_path)
    photos[0] = Photo(path=tmp_path / name, label=1, split="train", sha256="0")
    audit = audit_labels(photos, features, class_names=CLASSES)
    write_page(audit, tmp_path, tmp_path / "audit.html", apply_command="")
    write_table_of(audit, tmp_path, tmp_path / "suspects.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "suspects.csv").read_text())))
    assert len(rows) == len(audit.suspects) >= 1
