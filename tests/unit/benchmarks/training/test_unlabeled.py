"""What the benchmark of unlabeled photos leaves out of them, and its table."""

from pathlib import Path

import torch
from PIL import Image

from benchmarks.training.unlabeled import (
    CachedBatches,
    Command,
    config_of,
    unlabeled_rows,
    with_unlabeled,
)
from benchmarks.training.unlabeled_table import HEAD, UNLABELED, WHOLE, WHOLE_UNLABELED, table
from training.data.source import read_data


def test_skewed_classes_are_as_unequal_as_ten_to_one() -> None:
    labels = torch.arange(10).repeat(400)
    is_labeled = torch.zeros(4000, dtype=torch.bool)
    is_labeled[:100] = True
    for kind in ("all", "foreign"):
        assert torch.equal(unlabeled_rows(kind, labels, is_labeled, 0), ~is_labeled)
    skewed = unlabeled_rows("skewed", labels, is_labeled, 0)
    assert not skewed[is_labeled].any()
    counts = labels[skewed].bincount(minlength=10).float()
    assert 6 < counts.max() / counts.min() < 15
    assert not torch.equal(skewed, unlabeled_rows("skewed", labels, is_labeled, 1))


def test_cached_features_are_trained_on_in_the_batches_of_a_run() -> None:
    config = config_of(Command(data=Path("clothing")), 3)
    training = (torch.arange(70.0)[:, None], torch.arange(70))
    batches = CachedBatches(config, training, training)
    [val] = batches.validation_batches()
    assert val is training
    drawn = list(batches.training_batches(None, 0))
    assert batches.step_count(0) == len(drawn) == 3
    assert sorted(torch.cat([labels for _, labels in drawn]).tolist()) == list(range(70))


def entry(**more: object) -> dict[str, object]:
    rounds = [
        {HEAD: before, UNLABELED: after, "helps": helps, "unlabeled_n": count, "test_n": 372}
        for before, after, helps, count in ((0.4, 0.5, True, 90), (0.5, 0.6, True, 90), (0.6, 0.6, False, 90))
    ]  # fmt: skip
    skewed = [result | {"unlabeled_n": n} for n, result in zip((40, 60, 50), rounds, strict=True)]
    return {
        "architecture": "resnet18", "labels_per_class": 10, "image_size_px": 64, "draws": [5, 6, 7],
        "rounds": {"all": rounds, "skewed": skewed}, **more,
    }  # fmt: skip


def test_the_table_compares_with_the_better_training_on_labels_alone() -> None:
    whole = {WHOLE: [0.5, 0.5, 0.7], WHOLE_UNLABELED: [0.6, 0.5, 0.8]}
    lines = table({"clothing": entry(), "drawings": entry(whole=whole)}).splitlines()
    assert f"{HEAD} | {WHOLE} | {UNLABELED} | {WHOLE_UNLABELED} | gain" in lines[0]
    assert lines[2] == (
        "| clothing (372 test photos), all (90) | 50.0 ± 10.0 % |  | 56.7 ± 5.8 % |  | +6.7 ± 5.8 | +0.0 | 2 of 3 |"
    )
    assert lines[4] == (
        "| drawings (372 test photos), all (90) | 50.0 ± 10.0 % | 56.7 ± 11.5 % | 56.7 ± 5.8 % | 63.3 ± 15.3 % | "
        "+6.7 ± 5.8 | +0.0 | 2 of 3 |"
    )
    assert "(40 to 60)" in lines[3]
    assert WHOLE not in table({"clothing": entry()})
    assert "3 draws" in lines[-1]


def test_every_train_photo_without_a_label_is_an_unlabeled_one(tmp_path: Path) -> None:
    folder = tmp_path / "hats"
    for split, count in (("train", 5), ("val", 1), ("test", 1)):
        for label in ("cap", "beret"):
            for number in range(count):
                path = folder / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                color = (len(split), len(label), number)
                Image.new("RGB", (8, 8), color).save(path)
    command = Command(data=folder, out=tmp_path / "runs", labels_per_class=2)
    config = with_unlabeled(config_of(command, 1))
    assert config.unlabeled is not None
    linked = {path.resolve() for path in config.unlabeled.iterdir()}
    labeled = {photo.path.resolve() for photo in read_data(config).of("train")}
    assert len(labeled) == 4
    assert linked | labeled == {path.resolve() for path in folder.glob("train/*/*.png")}
    assert not linked & labeled
    assert with_unlabeled(config_of(command, 1)) == config
