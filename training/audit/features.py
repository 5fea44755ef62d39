"""Features of all photos by the default network as it is pretrained: it has seen none of their labels.

They are kept beside the page, by the photos' bytes: a second audit, of mended labels, computes only those that are new.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from handlers.images.colour import GreyRange
from handlers.images.preprocessing import Fit, PreprocessingSpec
from storage import atomic_path
from training.config import TrainConfig
from training.data.dataset import preprocessing_of
from training.data.photos import Photo
from training.fit.pretrained import EMBEDDED
from training.fit.starting_network import embedded_features

CACHE_FILE = "features.safetensors"


class PhotoFeatures:
    """Computes features of photos and keeps them in a folder."""

    def __init__(self, folder: Path, *, fit: Fit = "crop", grey_range: GreyRange = "full") -> None:
        default = TrainConfig(data=folder)
        self._architecture = default.architecture
        self._spec = replace(preprocessing_of(default), fit=fit, grey_range=grey_range)
        self._path = folder / CACHE_FILE
        self._key = _key_of(self._architecture, self._spec)

    def of(
        self, photos: Sequence[Photo], *, progress: Callable[[int, int], object] = lambda *_: None
    ) -> torch.Tensor:
        """Return `(N, D) float32`, and keep them; `progress` is called with the number computed and that to compute.

        Raises:
            PhotoError, OSError: a photo has changed or vanished since it was listed, or the folder cannot be written.
        """
        known = self._read()
        new = {photo.sha256: photo for photo in photos if photo.sha256 not in known}
        if new:
            known |= self._compute(list(new.values()), progress)
            self._write(known)
        return torch.stack([known[photo.sha256] for photo in photos])

    def _compute(
        self, photos: Sequence[Photo], progress: Callable[[int, int], object]
    ) -> dict[str, torch.Tensor]:
        rows = embedded_features(
            photos, architecture=self._architecture, preprocessing=self._spec, progress=progress
        )
        return dict(zip((photo.sha256 for photo in photos), rows, strict=True))

    def _read(self) -> dict[str, torch.Tensor]:
        """Return the kept features by the photos' sha256; none if the file is of another network, or damaged."""
        try:
            with safe_open(self._path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("key") != self._key:
                    return {}
                names = json.loads(metadata["photos"])
                return dict(zip(names, file.get_tensor("features"), strict=True))
        except (OSError, SafetensorError, KeyError, ValueError):
            return {}

    def _write(self, features: dict[str, torch.Tensor]) -> None:
        metadata = {"key": self._key, "photos": json.dumps(list(features))}
        with atomic_path(self._path) as temporary:
            save_file({"features": torch.stack(list(features.values()))}, temporary, metadata)


def _key_of(architecture: str, spec: PreprocessingSpec) -> str:
    """Return what features depend on besides the photo: network, its weights and the preprocessing."""
    parts = [architecture, EMBEDDED[architecture][1], json.dumps(asdict(spec), sort_keys=True)]
    return sha256("\n".join(parts).encode()).hexdigest()
