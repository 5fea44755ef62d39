"""The batches of each epoch: photos, or features of the frozen backbone."""

import math
from collections.abc import Iterator

import torch

from handlers.engines.network import Network
from training.config import TrainConfig
from training.data.dataset import Batch, TrainingPhotos, preprocessing_of, served_pixels
from training.data.photos import PhotoSet
from training.distributed import ProcessGroup
from training.fit.features import compute_features, feature_batches
from training.fit.mixing import Mixing
from training.fit.pseudo_labels import UNLABELED_RATIO, PseudoLabels, Teacher

# Random views per photo in the frozen backbone's features.
FEATURE_VIEWS = 4
VALIDATION_BATCH_SIZE = 64
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
        self._unlabeled: TrainingPhotos | None = None
        if photos.unlabeled:
            self._unlabeled = TrainingPhotos(
                photos.unlabeled, self._spec, crop_area_min=config.crop_area_min, is_paired=True
            )
        self._class_counts = torch.tensor(photos.counts("train"), dtype=torch.float32)
        self._mixing = Mixing(config.mix, class_count=len(photos.class_names))
        self._train_features: Batch | None = None
        self._val_features: Batch | None = None

    def step_count(self, epoch: int) -> int:
        """Return the number of training batches in an epoch, the same in every process."""
        batch_size, count = self._config.batch_size, len(self._train.photos)
        if self._config.is_backbone_frozen(epoch):
            count *= FEATURE_VIEWS
        elif self._unlabeled is not None:
            batch_size, count = batch_size * UNLABELED_RATIO, len(self._unlabeled.photos)
        return math.ceil(count / batch_size)

    def training_batches(
        self, network: Network, epoch: int, *, teacher: Teacher
    ) -> Iterator[Batch]:
        """Yield this epoch's inputs and targets, in the order that seed and epoch decide.

        Inputs are pixels `(B, S, S, 3) uint8`, or features `(B, D) float32` while the backbone is frozen. Targets are
        labels `(B,) int64`, or class probabilities `(B, K) float32` where photos are mixed or unlabeled.

        In the epochs of the whole network, unlabeled photos are added: an epoch shows each of them once, and the
        labelled ones as often as that takes. The teacher, in its state at that step, labels them.
        """
        batch_size, seed = self._config.batch_size, self._config.seed
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
        steps = None if self._unlabeled is None else self.step_count(epoch)
        labeled = self._train.batches(
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            balanced=balanced,
            steps=steps,
            group=self._group,
        )
        mixed = map(self._mixing, labeled)
        if self._unlabeled is None:
            return mixed
        unlabeled = self._unlabeled.batches(
            batch_size=batch_size * UNLABELED_RATIO,
            seed=seed,
            epoch=epoch,
            steps=steps,
            group=self._group,
        )
        return PseudoLabels(teacher, self._class_counts, self._group).join(mixed, unlabeled)

    def validation_batches(self, network: Network, epoch: int) -> Iterator[Batch]:
        """Yield this process's shard of val, each photo once, preprocessed as in serving; labels are `(B,) int64`."""
        if not self._val:
            return
        photos = served_pixels(self._val, self._spec, batch_size=VALIDATION_BATCH_SIZE)
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
                batch_size=self._config.batch_size,
                seed=self._config.seed,
                epoch=FIRST_FEATURE_EPOCH + view,
                group=self._group,
            )
            features, labels = compute_features(network, batches, self._group.device)
            # Each process computes its shard; then all have the features of all photos.
            views.append((self._group.gather(features, count), self._group.gather(labels, count)))
        features = torch.cat([view[0] for view in views]).to(self._group.device)
        return features, torch.cat([view[1] for view in views])
