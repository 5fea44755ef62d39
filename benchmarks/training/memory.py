"""Memory of a long training run: its resident size after each epoch, which must not grow.

    python -m benchmarks.training.memory

Trains as `headswap train` does, checkpoints included, each kind of run in a process of its own: a head on cached
features, and the whole network on photos, with mixing and weight averaging. Writes benchmarks/results/memory.json.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self, get_args

import psutil
import tyro

from benchmarks.measurements import merge, read, result_file
from benchmarks.networks import SAMPLE
from training.config import TrainConfig
from training.fit.trainer import train

RESULTS = result_file("memory")
Kind = Literal["cached features", "photos"]
SETTLED_EPOCH = 10
"""By then every photo is decoded and the optimizer state exists."""


@dataclass(frozen=True, kw_only=True)
class Command:
    kinds: tuple[Kind, ...] = get_args(Kind)
    epochs: int = 100
    photos_per_class: int = 6
    image_size_px: int = 32
    results: Path = RESULTS


class Resident:
    """Records the resident size of this process after each epoch, in MB."""

    def __init__(self) -> None:
        self.sizes_mb: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def epoch(self, metrics: dict[str, Any]) -> None:
        self.sizes_mb.append(round(psutil.Process().memory_info().rss / 1e6, 1))


def measure(config: TrainConfig) -> list[float]:
    """Return the resident size after each epoch of a run, in MB."""
    resident = Resident()
    train(config, progress=resident)
    return resident.sizes_mb


def configs(command: Command, out: Path) -> dict[Kind, TrainConfig]:
    """Return the options of each kind of run."""
    shared: dict[str, Any] = {
        "data": SAMPLE, "device": "cpu", "image_size_px": command.image_size_px,
        "photos_per_class": command.photos_per_class,
    }  # fmt: skip
    return {
        "cached features": TrainConfig(
            **shared, out=out / "features", architecture="resnet18", weights="embedded",
            freeze="backbone", head_epochs=command.epochs,
        ),
        "photos": TrainConfig(
            **shared, out=out / "photos", architecture="mobilenet_v3_small", weights="none",
            epochs=command.epochs, augment="trivial", mix="both", ema_decay=0.99,
        ),
    }  # fmt: skip


def summarise(sizes_mb: list[float]) -> dict[str, Any]:
    """Return the sizes after every tenth epoch, and the growth from the first to the last of them."""
    by_epoch = {
        str(epoch): sizes_mb[epoch - 1]
        for epoch in range(SETTLED_EPOCH, len(sizes_mb) + 1, SETTLED_EPOCH)
    }
    settled, *_, last = by_epoch.values()
    return {"resident_mb_after_epoch": by_epoch, "growth_mb": round(last - settled, 1)}


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    with TemporaryDirectory() as out:
        for kind in command.kinds:
            config = configs(command, Path(out))[kind]
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                sizes_mb = process.submit(measure, config).result()
            merge(kind, summarise(sizes_mb), command.results)
    results = read(command.results)
    growth_mb = {kind: entry["growth_mb"] for kind, entry in results.items()}
    sys.stdout.write(json.dumps(growth_mb) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
