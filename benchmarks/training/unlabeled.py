"""Gain from unlabeled photos beside a few labelled ones, compared with labels alone, over draws.

    python -m benchmarks.training.unlabeled --data CLOTHING && python -m benchmarks.training.tables

Each draw labels other photos of train; the rest of train is unlabeled. The heads are those of `--freeze backbone`, from
features computed once for all draws: by the run's own loop, with and without pseudo-labels. With --whole-network that
is trained as well, as `headswap train` does, with and without --unlabeled. Besides all unlabeled photos, the heads are
trained with some of them: of classes as unequal as 10 to 1, or with photos of classes that have no label. Interrupted
calls can be repeated. Writes benchmarks/results/unlabeled.json.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from benchmarks.measurements import WORK, merge, read, result_file
from benchmarks.training.unlabeled_table import (
    HEAD,
    SHOWN_AS,
    UNLABELED,
    WHOLE,
    WHOLE_UNLABELED,
    table,
)
from training.batch_size import BATCH_SIZE_MAX
from training.compare.comparison import evaluated_run
from training.config import TrainConfig
from training.data.dataset import Batch, preprocessing_of
from training.data.photos import PhotoSet
from training.data.source import read_data
from training.distributed import SINGLE_PROCESS
from training.fit.checkpoint import Score
from training.fit.features import feature_batches
from training.fit.pseudo_labels import (
    LABELED_VIEWS,
    UNLABELED_VIEWS,
    join_features,
    random_views,
    served_features,
)
from training.fit.starting_network import make_starting_network
from training.fit.trainer import Trainer
from training.unlabeled.selection import FeatureSet, make_pseudo_labels

RESULTS = result_file("unlabeled")
# Share of its photos that the rarest class keeps among the unlabeled ones; the others lie between that and all.
SKEW = 0.1
# Of the classes, that have no label where photos of other things are among the unlabeled ones.
FOREIGN_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class Command:
    data: Path
    """Folder with train/, val/ and test/."""
    name: str = ""
    """Of the photo set in the table; the folder's own by default."""
    out: Path = WORK / "unlabeled"
    results: Path = RESULTS
    labels_per_class: int = 10
    first_draw: int = 0
    draws: int = 5
    architecture: str = "efficientnet_lite1"
    image_size_px: int = 224
    whole_network: bool = False
    """Also train the whole network: minutes a draw."""

    @property
    def title(self) -> str:
        return self.name or self.data.name


@dataclass(frozen=True)
class Known:
    """Features of a photo set's splits: train has several random views `(V, N, D)`, val and test one `(N, D)`."""

    train: torch.Tensor
    train_labels: torch.Tensor
    val: torch.Tensor
    val_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor

    def of_classes(self, kept: int) -> "Known":
        """Return the set without the val and test photos of classes from `kept` on, which nothing is labelled as."""
        is_val, is_test = self.val_labels < kept, self.test_labels < kept
        return replace(
            self,
            val=self.val[is_val],
            val_labels=self.val_labels[is_val],
            test=self.test[is_test],
            test_labels=self.test_labels[is_test],
        )


class CachedBatches:
    """What a Trainer asks of its batches, from features: `training` and `val` are inputs and targets."""

    def __init__(self, config: TrainConfig, training: Batch, val: Batch) -> None:
        self._config, self._training, self._val = config, training, val

    def batch_size(self, _: int) -> int:
        return self._config.batch_size or BATCH_SIZE_MAX

    def labeled_per_step(self, epoch: int) -> int:
        return self.batch_size(epoch)

    def step_count(self, epoch: int) -> int:
        return -(-len(self._training[1]) // self.batch_size(epoch))

    def training_batches(self, _: object, epoch: int) -> Iterator[Batch]:
        return feature_batches(
            self._training,
            batch_size=self.batch_size(epoch),
            seed=self._config.seed,
            epoch=epoch,
        )

    def validation_batches(self, *_: object) -> Iterator[Batch]:
        yield self._val

    def statistics(self) -> dict[str, Any]:
        return {}


def config_of(command: Command, draw: int) -> TrainConfig:
    """Return the settings of labels alone, for the whole network."""
    return TrainConfig(
        data=command.data,
        architecture=command.architecture,
        weights="embedded",
        image_size_px=command.image_size_px,
        photos_per_class=command.labels_per_class,
        seed=draw,
        out=command.out / f"{command.title}-whole-{draw}",
    )


def with_unlabeled(config: TrainConfig) -> TrainConfig:
    """Return the settings with the photos of train that have no label in a folder of links."""
    folder = config.out.with_name(f"{config.out.name}-unlabeled-photos")
    labeled = {photo.path for photo in read_data(config).of("train")}
    everything = read_data(replace(config, photos_per_class=0)).of("train")
    folder.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(everything):
        link = folder / f"{number}{photo.path.suffix}"
        if photo.path not in labeled and not link.exists():
            link.symlink_to(photo.path.resolve())
    return replace(
        config, unlabeled=folder, out=config.out.with_name(f"{config.out.name}-unlabeled")
    )


def cached_features(command: Command) -> tuple[Known, PhotoSet]:
    """Return the features and the photos they are of, those of train in the order of the set."""
    config = replace(config_of(command, 0), photos_per_class=0)
    photos = read_data(config)
    path = command.out / f"{command.title}-{command.architecture}-{command.image_size_px}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_compute_features(config, photos))  # type: ignore[arg-type]
    with np.load(path) as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays}
    return Known(**tensors), photos


def _compute_features(config: TrainConfig, photos: PhotoSet) -> dict[str, np.ndarray]:
    network, _ = make_starting_network(
        architecture=config.architecture,
        weights=config.weights,
        class_count=len(photos.class_names),
        preprocessing=preprocessing_of(config),
    )
    train = photos.of("train")
    arrays = {
        "train": random_views(config, train, LABELED_VIEWS, network, SINGLE_PROCESS).numpy(),
        "train_labels": np.array([photo.label for photo in train]),
    }
    for split in ("val", "test"):
        rows, labels = served_features(config, photos.of(split), network, SINGLE_PROCESS)
        arrays |= {split: rows.numpy(), f"{split}_labels": labels.numpy()}
    return arrays


def unlabeled_rows(kind: str, labels: torch.Tensor, is_labeled: torch.Tensor, draw: int) -> Any:
    """Return which train photos `(N,) bool` are the unlabeled ones, without those that are labelled."""
    if kind != "skewed":
        return ~is_labeled
    generator = torch.Generator().manual_seed(draw)
    class_count = int(labels.max()) + 1
    shares = SKEW ** (torch.randperm(class_count, generator=generator) / max(1, class_count - 1))
    return ~is_labeled & (torch.rand(len(labels), generator=generator) < shares[labels])


def measure(
    command: Command, features: Known, photos: PhotoSet, *, kind: str, draw: int
) -> dict[str, Any]:
    """Return the accuracies of both heads on one draw, and what was said of the unlabeled photos."""
    labeled_photos = read_data(config_of(command, draw))
    chosen = {photo.path for photo in labeled_photos.of("train")}
    is_labeled = torch.tensor([photo.path in chosen for photo in photos.of("train")])
    labels, class_count = features.train_labels, len(photos.class_names)
    is_unlabeled = unlabeled_rows(kind, labels, is_labeled, draw)
    if kind == "foreign":
        # Which classes have no label differs from draw to draw.
        order = torch.randperm(class_count, generator=torch.Generator().manual_seed(draw))
        features = replace(
            features,
            train_labels=order[features.train_labels],
            val_labels=order[features.val_labels],
            test_labels=order[features.test_labels],
        )
        class_count -= round(FOREIGN_SHARE * class_count)
        labels, features = features.train_labels, features.of_classes(class_count)
        is_labeled &= labels < class_count
    labeled, unlabeled = features.train[:, is_labeled], features.train[:UNLABELED_VIEWS]
    unlabeled, known = unlabeled[:, is_unlabeled], labels[is_labeled]
    pseudo = make_pseudo_labels(
        FeatureSet(
            labeled=labeled.mean(0),
            labels=known,
            unlabeled=unlabeled.mean(0),
            val=features.val,
            val_labels=features.val_labels,
            class_count=class_count,
        )
    )
    config = replace(config_of(command, draw), freeze="backbone")
    set_of = replace(
        labeled_photos,
        class_names=labeled_photos.class_names[:class_count],
        photos=tuple(p for p in labeled_photos.photos if p.label < class_count),
    )
    alone = (labeled.flatten(0, 1), known.repeat(len(labeled)))
    head = train_head(config, set_of, alone, features)
    joined = join_features(labeled, known, unlabeled, pseudo) if pseudo.helps else alone
    return {
        HEAD: head,
        UNLABELED: train_head(config, set_of, joined, features) if pseudo.helps else head,
        "helps": pseudo.helps,
        "unlabeled_n": int(is_unlabeled.sum()),
        "test_n": len(features.test),
        "val_accuracy": pseudo.statistics()["val_accuracy_labels_only"],
        "val_accuracy_with_unlabeled": pseudo.statistics()["val_accuracy_with_unlabeled"],
    }


def train_head(config: TrainConfig, photos: PhotoSet, training: Batch, features: Known) -> float:
    """Return the test accuracy of the best epoch's head, as a run with `--freeze backbone` chooses it on val."""
    trainer = Trainer(config, photos, SINGLE_PROCESS)
    batches = CachedBatches(config, training, (features.val, features.val_labels))
    trainer.batch_source = batches  # type: ignore[assignment]
    best, accuracy = Score(), 0.0
    for epoch in range(config.total_epochs):
        score = Score.from_metrics(trainer.run_epoch(epoch))
        if score > best:
            with torch.inference_mode():
                predicted = trainer.head(features.test).argmax(1)
            best, accuracy = score, float((predicted == features.test_labels).float().mean())
    return accuracy


def main(command: Command) -> None:
    features, photos = cached_features(command)
    draws = range(command.first_draw, command.first_draw + command.draws)
    rounds: dict[str, list[dict[str, Any]]] = {}
    for kind in SHOWN_AS:
        for draw in draws:
            result = measure(command, features, photos, kind=kind, draw=draw)
            rounds.setdefault(kind, []).append(result)
            sys.stderr.write(f"{kind} {draw}: {result}\n")
    entry: dict[str, Any] = {
        "architecture": command.architecture,
        "labels_per_class": command.labels_per_class,
        "image_size_px": command.image_size_px,
        "class_count": len(photos.class_names),
        "draws": list(draws),
        "rounds": rounds,
    }
    merge(command.title, entry, command.results)
    if command.whole_network:
        entry["whole"] = {WHOLE: [], WHOLE_UNLABELED: []}
        for draw in draws:
            config = config_of(command, draw)
            for name, settings in ((WHOLE, config), (WHOLE_UNLABELED, with_unlabeled(config))):
                entry["whole"][name].append(evaluated_run(settings)["accuracy"])
                sys.stderr.write(f"{name}, draw {draw}: {entry['whole'][name][-1]:.3f}\n")
        merge(command.title, entry, command.results)
    sys.stdout.write(table(read(command.results)))


if __name__ == "__main__":
    main(tyro.cli(Command, description=__doc__))
