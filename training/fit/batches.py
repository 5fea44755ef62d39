"""What the network is given, epoch by epoch: photos, or the features of a frozen body."""

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

# Random views a photo contributes to the frozen body's features.
FEATURE_VIEWS = 4
JUDGING_BATCH_SIZE = 64


class BatchSource:
    """This process's batches; while the body is frozen they hold what the head is given."""

    def __init__(self, config: TrainConfig, photos: PhotoSet, ranks: ProcessGroup) -> None:
        self._config, self._ranks = config, ranks
        self._spec = preprocessing_of(config)
        self._val = ranks.share(photos.of("val"))
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
        self._counts = torch.tensor(photos.counts("train"), dtype=torch.float32)
        self._mixing = Mixing(config.mix, class_count=len(photos.class_names))
        self._features: Batch | None = None
        self._val_features: Batch | None = None

    def step_count(self, epoch: int) -> int:
        size, count = self._config.batch_size, len(self._train.photos)
        if self._config.is_backbone_frozen(epoch):
            count *= FEATURE_VIEWS
        elif self._unlabeled is not None:
            size, count = size * UNLABELED_RATIO, len(self._unlabeled.photos)
        return math.ceil(count / size)

    def learning(self, network: Network, epoch: int, *, teacher: Teacher) -> Iterator[Batch]:
        """Yield this epoch's inputs and their labels `(B,)`, or shares of the classes `(B, K)` where
        photos are mixed, in the order that seed and epoch decide.

        Where everything learns, unlabeled photos join in: an epoch passes them once, and the labelled
        ones as often as that takes. The teacher, as it is by then, says what to learn from them.
        """
        size, seed = self._config.batch_size, self._config.seed
        balanced = self._config.balance == "sampling"
        if self._config.is_backbone_frozen(epoch):
            if self._features is None:
                self._features = self._compute_features(network)
            return feature_batches(
                self._features,
                batch_size=size,
                seed=seed,
                epoch=epoch,
                balanced=balanced,
                ranks=self._ranks,
            )
        steps = None if self._unlabeled is None else self.step_count(epoch)
        labeled = self._train.batches(
            batch_size=size,
            seed=seed,
            epoch=epoch,
            balanced=balanced,
            steps=steps,
            ranks=self._ranks,
        )
        mixed = map(self._mixing, labeled)
        if self._unlabeled is None:
            return mixed
        unlabeled = self._unlabeled.batches(
            batch_size=size * UNLABELED_RATIO,
            seed=seed,
            epoch=epoch,
            steps=steps,
            ranks=self._ranks,
        )
        return PseudoLabels(teacher, self._counts, self._ranks).join(mixed, unlabeled)

    def judging(self, network: Network, epoch: int) -> Iterator[Batch]:
        """Yield this process's part of val, each photo once, as serving will see it."""
        if not self._val:
            return
        served = served_pixels(self._val, self._spec, batch_size=JUDGING_BATCH_SIZE)
        if not self._config.is_backbone_frozen(epoch):
            yield from served
            return
        if self._val_features is None:
            self._val_features = compute_features(network, served, self._ranks.device)
        yield self._val_features

    def _compute_features(self, network: Network) -> Batch:
        views: list[Batch] = []
        count = len(self._train.photos)
        for view in range(FEATURE_VIEWS):
            # Numbered from far above any epoch, so that no epoch sees the same crops again.
            batches = self._train.batches(
                batch_size=self._config.batch_size,
                seed=self._config.seed,
                epoch=1_000_000 + view,
                ranks=self._ranks,
            )
            features, labels = compute_features(network, batches, self._ranks.device)
            # Each process passes its share of the photos; then all have the features of all.
            views.append((self._ranks.gather(features, count), self._ranks.gather(labels, count)))
        features = torch.cat([view[0] for view in views]).to(self._ranks.device)
        return features, torch.cat([view[1] for view in views])
