"""Features of captured photos by the default network as it is pretrained, to compare them with each other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from handlers.engines.network import build_network
from training.config import TrainConfig
from training.data.dataset import preprocessing_of, served_pixels
from training.data.photos import Photo
from training.fit.features import compute_features
from training.fit.pretrained import load_pretrained
from training.threads import limit_torch_threads

BATCH_SIZE = 32


def compute(photos: Sequence[Photo]) -> np.ndarray:
    """Return `(N, D) float32`. Raises a PhotoError or OSError for a photo that has vanished."""
    limit_torch_threads()
    config = TrainConfig(data=Path())
    spec = preprocessing_of(config)
    network = build_network(architecture=config.architecture, class_count=2, preprocessing=spec)
    load_pretrained(
        network,
        weights=config.effective_weights,
        architecture=config.architecture,
        image_size_px=spec.image_size_px,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pixels = served_pixels(photos, spec, batch_size=BATCH_SIZE)
    features, _ = compute_features(network.to(device), pixels, device)
    return features.numpy()
