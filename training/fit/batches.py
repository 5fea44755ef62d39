"""The batches of each epoch: photos, or features of the frozen backbone."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional

from handlers.engines.network import Network
from training.batch_size import BATCH_SIZE_MAX, choose_batch_size
from training.config import TrainConfig
from training.data.dataset import Batch, TrainingPhotos, preprocessing_of, served_pixels
from training.data.photos import PhotoSet
from training.distributed import ProcessGroup
from training.fit.features import compute_features, feature_batches
from training.fit.mixing import Mixing
from training.fit.pseudo_labels import Labelled, label_photos

# Random views per photo in the frozen backbone's features.
FEATURE_VIEWS = 4
EVALUATION_BATCH_SIZE = 64
# Unlabeled photos per labelled one in a batch.
UNLABELED_RATIO = 3
# The epoch numbers that seed those views: far above any epoch's own, so that no epoch sees the same crops again.
FIRST_FEATURE_EPOCH = 1_000_000


class BatchSource:
    """This process's batches of an epoch; while the backbone is frozen, they hold the head's inputs."""

    def __init__(self, config: TrainConfig, photos: PhotoSet, group: ProcessGroup) -> None:
        self._config, self._group = config, group
        self._spec = preprocessing_of(config)
        self._val = group.shard(photos.of("val"))
        self._train = TrainingPhotos(
            photos.of("train"),
            self._spec,
            crop_area_min=config.crop_area_min,
            augment=config.augment,
        )
        self._photos = photos
        self._labelled: Labelled | None = None
        self._pseudo_labelled: TrainingPhotos | None = None
        self._mixing = Mixing(config.mix, class_count=len(photos.class_names))
        self._train_features: Batch | None = None
        self._val_features: Batch | None = None

    def batch_size(self, epoch: int) -> int:
        """Return how many photos a step of the epoch takes, over all processes."""
        self._label()
        config = self._config
        if config.batch_size:
            return config.batch_size
        # Features cost nothing, batch statistics need photos, and so do pseudo-labels, of which some are wrong.
        if (
            config.is_backbone_frozen(epoch)
            or config.effective_batchnorm_stats == "train"
            or self._pseudo_labelled is not None
        ):
            return BATCH_SIZE_MAX
        return choose_batch_size(len(self._train.photos), world_size=self._group.world_size)

    def labeled_per_step(self, epoch: int) -> int:
        """Return how many of them are labelled photos'; of a frozen backbone's features, whatever their labels, all."""
        batch_size = self.batch_size(epoch)
        if self._config.is_backbone_frozen(epoch) or self._pseudo_labelled is None:
            return batch_size
        return _labelled_part(batch_size)

    def step_count(self, epoch: int) -> int:
        """Return the number of training batches in an epoch, the same in every process."""
        count = len(self._train.photos)
        if self._config.is_backbone_frozen(epoch):
            count *= FEATURE_VIEWS
            if self._train_features is not None:
                count = len(self._train_features[1])
        return math.ceil(count / self.labeled_per_step(epoch))

    def describe_unlabeled(self) -> str | None:
        """Return a line on the unlabeled photos, None where there are none; the first call labels them."""
        self._label()
        return None if self._labelled is None else self._labelled.pseudo_labels.describe()

    def statistics(self) -> dict[str, Any]:
        """Return what a line of metrics.jsonl says of the unlabeled photos, which is nothing where there are none."""
        if self._labelled is None:
            return {}
        return {"pseudo_labels": self._labelled.pseudo_labels.statistics()}

    def _label(self) -> None:
        """Label the unlabeled photos, if there are any that are not labelled yet."""
        if self._labelled is not None or not self._photos.unlabeled:
            return
        self._labelled = label_photos(self._config, self._photos, self._group)
        pseudo_labels = self._labelled.pseudo_labels
        if not pseudo_labels.helps:
            return
        self._train_features = self._labelled.features
        self._pseudo_labelled = TrainingPhotos(
            [
                replace(self._photos.unlabeled[number], label=number)
                for number in torch.nonzero(pseudo_labels.is_used)[:, 0].tolist()
            ],
            self._spec,
            crop_area_min=self._config.crop_area_min,
            augment=self._config.augment,
        )

    def training_batches(self, network: Network, epoch: int) -> Iterator[Batch]:
        """Yield this epoch's inputs and targets, in the order that seed and epoch decide.

        Inputs are pixels `(B, S, S, 3) uint8`, or features `(B, D) float32` while the backbone is frozen. Targets are
        labels `(B,) int64`, or class probabilities `(B, K) float32` where photos are mixed or unlabeled.

        Where unlabeled photos help, three of four views are theirs: a random part of them in each epoch of the whole
        network, which shows the labelled photos once.
        """
        batch_size, seed = self.batch_size(epoch), self._config.seed
        balanced = self._config.balance == "sampling"
        if self._config.is_backbone_frozen(epoch):
            if self._train_features is None:
                self._train_features = self._compute_train_features(network)
            return feature_batches(
                self._train_features,
                batch_size=batch_size,
                seed=seed,
                epoch=epoch,
                balanced=balanced,
                group=self._group,
            )
        if self._pseudo_labelled is None:
            labeled = self._train.batches(
                batch_size=batch_size,
                seed=seed,
                epoch=epoch,
                balanced=balanced,
                group=self._group,
            )
            return map(self._mixing, labeled)
        return self._joined_batches(epoch)

    def _joined_batches(self, epoch: int) -> Iterator[Batch]:
        """Yield pixels and class probabilities `(B, K)` of labelled photos and of those with pseudo-labels."""
        assert self._labelled is not None
        assert self._pseudo_labelled is not None
        config, steps, batch_size = self._config, self.step_count(epoch), self.batch_size(epoch)
        own = _labelled_part(batch_size)
        labeled = self._train.batches(
            batch_size=own,
            seed=config.seed,
            epoch=epoch,
            balanced=config.balance == "sampling",
            steps=steps,
            group=self._group,
        )
        more = self._pseudo_labelled.batches(
            batch_size=batch_size - own,
            seed=config.seed,
            epoch=epoch,
            steps=steps,
            group=self._group,
        )
        probabilities = self._labelled.pseudo_labels.probabilities
        for (pixels, targets), (more_pixels, numbers) in zip(
            map(self._mixing, labeled), more, strict=True
        ):
            if targets.ndim == 1:
                targets = functional.one_hot(targets, probabilities.shape[1]).float()
            # Shuffled, so that each part of a step with accumulated gradients has some of both.
            order = torch.randperm(len(targets) + len(numbers))
            yield (
                torch.cat([pixels, more_pixels])[order],
                torch.cat([targets, probabilities[numbers]])[order],
            )

    def validation_batches(self, network: Network, epoch: int) -> Iterator[Batch]:
        """Yield this process's shard of val, each photo once, preprocessed as in serving; labels are `(B,) int64`."""
        if not self._val:
            return
        photos = served_pixels(self._val, self._spec, batch_size=EVALUATION_BATCH_SIZE)
        if not self._config.is_backbone_frozen(epoch):
            yield from photos
            return
        if self._val_features is None:
            self._val_features = compute_features(network, photos, self._group.device)
        yield self._val_features

    def _compute_train_features(self, network: Network) -> Batch:
        """Return features and labels of FEATURE_VIEWS views of every photo, on the device."""
        views: list[Batch] = []
        count = len(self._train.photos)
        for view in range(FEATURE_VIEWS):
            batches = self._train.batches(
                batch_size=EVALUATION_BATCH_SIZE,
                seed=self._config.seed,
                epoch=FIRST_FEATURE_EPOCH + view,
                group=self._group,
            )
            features, labels = compute_features(network, batches, self._group.device)
            # Each process computes its shard; then all have the features of all photos.
            views.append((self._group.gather(features, count), self._group.gather(labels, count)))
        features = torch.cat([view[0] for view in views]).to(self._group.device)
        return features, torch.cat([view[1] for view in views])


def _labelled_part(batch_size: int) -> int:
    """Return how many photos of a batch are labelled ones, where others have pseudo-labels."""
    return max(1, batch_size // (1 + UNLABELED_RATIO))
