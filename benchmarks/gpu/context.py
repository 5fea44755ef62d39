"""What every step of the check gets: the device, the archives, where to write, and how much to measure."""

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch

from benchmarks import photos
from benchmarks.errors import BenchmarkError
from benchmarks.gpu.records import Records
from handlers.extracted import ExtractedArchive, open_extracted


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    architectures: tuple[str, ...]
    photo_count: int
    """Photos on which GPU and CPU are compared."""
    batch_sizes: tuple[int, ...]
    """Of requests: those of CUDA graphs, between them, and above the largest."""
    largest_batch: int
    connections: tuple[int, ...]
    seconds: int
    """Of one measurement."""
    stock_workers: int
    full_memory_batch: int
    """Images in the pass that must not fit into the GPU's memory."""
    full_memory_image_px: int
    training_architecture: str
    training_image_px: int
    training_batch: int
    training_photos: int
    """In one epoch."""


FULL = Sizes(
    architectures=("resnet18", "resnet50", "efficientnet_b0"),
    photo_count=372,
    batch_sizes=(1, 2, 5, 8, 32, 33),
    largest_batch=32,
    connections=(8, 32, 128),
    seconds=4,
    stock_workers=4,
    full_memory_batch=4096,
    full_memory_image_px=1024,
    training_architecture="resnet50",
    training_image_px=224,
    training_batch=128,
    training_photos=4096,
)
DRY_RUN = Sizes(
    architectures=("resnet18",),
    photo_count=12,
    batch_sizes=(1, 5, 9),
    largest_batch=8,
    connections=(2,),
    seconds=1,
    stock_workers=1,
    full_memory_batch=16,
    full_memory_image_px=64,
    training_architecture="resnet18",
    training_image_px=32,
    training_batch=8,
    training_photos=16,
)


@dataclass(frozen=True, kw_only=True)
class Context:
    device: str
    """cuda, or cpu in a dry run."""
    is_dry_run: bool
    archives: Path
    out: Path

    @property
    def sizes(self) -> Sizes:
        return DRY_RUN if self.is_dry_run else FULL

    @property
    def torch_device(self) -> torch.device:
        return torch.device("cuda", 0) if self.device == "cuda" else torch.device(self.device)

    def records(self) -> Records:
        """Return the file of figures."""
        return Records(self.out / "results.jsonl")

    def archive(self, architecture: str) -> Path:
        """Return the network's archive. Raises BenchmarkError where it is missing."""
        path = self.archives / f"{architecture}-1.0.mar"
        if not path.is_file():
            raise BenchmarkError(
                f"{self.archives} has no {path.name}; `make gpu-bundle` makes it, or give --archives with its folder"
            )
        return path

    def extracted(self, architecture: str) -> ExtractedArchive:
        """Return the network's archive as TorchServe extracts it; the first call does so."""
        folder = self.out / "extracted" / architecture
        if not folder.exists():
            with zipfile.ZipFile(self.archive(architecture)) as packed:
                packed.extractall(folder)
        return open_extracted(folder)

    def photo_list(self) -> Path:
        """Return a file that lists the photos to send, one path per line; the first call makes them."""
        return photos.make(self.out / "photos", "366x500")

    def sent_photos(self) -> list[bytes]:
        """Return the photos to send."""
        return [Path(line).read_bytes() for line in self.photo_list().read_text().splitlines()]

    def compared_photos(self) -> list[bytes]:
        """Return sample photos of all splits and classes."""
        paths = sorted(photos.SAMPLE.parent.glob("*/*/*.jpg"))
        return [path.read_bytes() for path in paths[:: len(paths) // self.sizes.photo_count or 1]][
            : self.sizes.photo_count
        ]

    def write(self, path: Path) -> None:
        """Write the context for the process of a step."""
        path.write_text(json.dumps(asdict(self), default=str))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the context that was written."""
        values = json.loads(path.read_text())
        values |= {name: Path(values[name]) for name in ("archives", "out")}
        return cls(**values)
