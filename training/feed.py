"""What the network is given, epoch by epoch: photos, or the features of a frozen body."""

import math
from collections.abc import Iterator

import torch

from handlers.network import Network
from training.config import TrainConfig
from training.dataset import Batch, TrainingPhotos, preprocessing_of, served_pixels
from training.features import compute_features, feature_batches
from training.mixing import Mixing
from training.photos import PhotoSet
from training.ranks import Ranks

# Random views a photo contributes to the frozen body's features.
FEATURE_VIEWS = 4
JUDGING_BATCH_SIZE = 64


class Feed:
    """This process's batches; while the body is frozen they hold what the head is given."""

    def __init__(self, config: TrainConfig, photos: PhotoSet, ranks: Ranks) -> None:
        self._config, self._ranks = config, ranks
        self._spec = preprocessing_of(config)
        self._val = ranks.share(photos.of("val"))
        self._train = TrainingPhotos(
            photos.of("train"),
            self._spec,
            crop_area_min=config.crop_area_min,
            augment=config.augment,
        )
        self._mixing = Mixing(config.mix, class_count=len(photos.class_names))
        self._features: Batch | None = None
        self._val_features: Batch | None = None

    def step_count(self, epoch: int) -> int:
        views = FEATURE_VIEWS if self._config.is_body_frozen(epoch) else 1
        return math.ceil(len(self._train.photos) * views / self._config.batch_size)

    def learning(self, network: Network, epoch: int) -> Iterator[Batch]:
        """Yield this epoch's inputs and their labels `(B,)`, or shares of the classes `(B, K)` where
        photos are mixed, in the order that seed and epoch decide."""
        size, seed = self._config.batch_size, self._config.seed
        balanced = self._config.balance == "sampling"
        if not self._config.is_body_frozen(epoch):
            batches = self._train.batches(
                batch_size=size, seed=seed, epoch=epoch, balanced=balanced, ranks=self._ranks
            )
            return map(self._mixing, batches)
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

    def judging(self, network: Network, epoch: int) -> Iterator[Batch]:
        """Yield this process's part of val, each photo once, as serving will see it."""
        if not self._val:
            return
        served = served_pixels(self._val, self._spec, batch_size=JUDGING_BATCH_SIZE)
        if not self._config.is_body_frozen(epoch):
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
