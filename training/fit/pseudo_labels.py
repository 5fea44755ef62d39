"""Features of a run's photos by the weights it starts from, and the pseudo-labels that follow from them.

Computed by a network of its own, so that they are the same whenever they are asked for: a resumed run's network is
another one by then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from handlers.engines.network import Network
from training.config import TrainConfig
from training.data.dataset import Batch, TrainingPhotos, preprocessing_of, served_pixels
from training.data.photos import Photo, PhotoSet
from training.distributed import ProcessGroup
from training.fit.features import compute_features
from training.fit.starting_network import BATCH_SIZE, make_starting_network
from training.unlabeled.selection import FeatureSet, PseudoLabels, make_pseudo_labels

LABELED_VIEWS = 4
UNLABELED_VIEWS = 2
# The epoch numbers that seed those views, as in training/fit/batches.py.
FIRST_VIEW_EPOCH = 2_000_000
# Labelled photos in what the head is trained on: they are few, but certain.
LABELED_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Pseudo-labels, and what the head is trained on with them."""

    pseudo_labels: PseudoLabels
    features: Batch
    """Features `(N, D)` of views and class probabilities `(N, K)`, on the device; empty if they do not help."""


def label_photos(config: TrainConfig, photos: PhotoSet, group: ProcessGroup) -> Labelled:
    """Return the pseudo-labels of the set's unlabeled photos, the same in every process."""
    # Drawing a new network's weights must not change what training draws.
    with torch.random.fork_rng(devices=[]):
        network, _ = make_starting_network(
            architecture=config.architecture,
            weights=config.effective_weights,
            class_count=len(photos.class_names),
            preprocessing=preprocessing_of(config),
            group=group,
        )
    labeled = random_views(config, photos.of("train"), LABELED_VIEWS, network, group)
    unlabeled = random_views(config, photos.unlabeled, UNLABELED_VIEWS, network, group)
    labels = torch.tensor([photo.label for photo in photos.of("train")])
    val, val_labels = served_features(config, photos.of("val"), network, group)
    pseudo_labels: PseudoLabels = group.on_rank_zero(
        make_pseudo_labels,
        FeatureSet(
            labeled=labeled.mean(0),
            labels=labels,
            unlabeled=unlabeled.mean(0),
            val=val,
            val_labels=val_labels,
            class_count=len(photos.class_names),
        ),
    )
    features, targets = join_features(labeled, labels, unlabeled, pseudo_labels)
    return Labelled(
        pseudo_labels=pseudo_labels,
        features=(features.to(group.device), targets.to(group.device)),
    )


def join_features(
    labeled: torch.Tensor, labels: torch.Tensor, unlabeled: torch.Tensor, pseudo: PseudoLabels
) -> Batch:
    """Return features and class probabilities of all views `(V, N, D)` of photos with labels and pseudo-labels.

    Labelled ones are repeated until they are LABELED_SHARE of all.
    """
    used = unlabeled[:, pseudo.is_used].flatten(0, 1)
    known = functional.one_hot(labels, pseudo.probabilities.shape[1]).float()
    wanted = len(used) * LABELED_SHARE / (1 - LABELED_SHARE)
    repeats = max(1, round(wanted / labeled.shape[:2].numel()))
    return (
        torch.cat([labeled.flatten(0, 1).repeat(repeats, 1), used]),
        torch.cat(
            [
                known.repeat(len(labeled) * repeats, 1),
                pseudo.probabilities[pseudo.is_used].repeat(len(unlabeled), 1),
            ]
        ),
    )


def random_views(
    config: TrainConfig,
    photos: Sequence[Photo],
    count: int,
    network: Network,
    group: ProcessGroup,
) -> torch.Tensor:
    """Return the features of random views, `(count, N, D)`, in the order of the photos."""
    numbered = TrainingPhotos(
        [replace(photo, label=number) for number, photo in enumerate(photos)],
        preprocessing_of(config),
        crop_area_min=config.crop_area_min,
        augment=config.augment,
    )
    views = []
    for view in range(count):
        batches = numbered.batches(
            batch_size=BATCH_SIZE, seed=config.seed, epoch=FIRST_VIEW_EPOCH + view, group=group
        )
        features, numbers = compute_features(network, batches, group.device)
        gathered = group.gather(features, len(photos))
        ordered = torch.empty_like(gathered)
        ordered[group.gather(numbers, len(photos))] = gathered
        views.append(ordered)
    return torch.stack(views)


def served_features(
    config: TrainConfig, photos: Sequence[Photo], network: Network, group: ProcessGroup
) -> Batch:
    """Return the features `(N, D)` of the photos as they are served, and their labels."""
    # With fewer photos than processes, every process computes all.
    own = group.shard(photos) if len(photos) >= group.world_size else photos
    batches = served_pixels(own, preprocessing_of(config), batch_size=BATCH_SIZE)
    features, labels = compute_features(network, batches, group.device)
    if len(photos) < group.world_size:
        return features, labels
    return group.gather(features, len(photos)), group.gather(labels, len(photos))
