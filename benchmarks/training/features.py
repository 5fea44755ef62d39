"""A frozen backbone: features computed once, compared with passing the photos through it in every epoch.

    python -m benchmarks.training.features

Both heads are trained on the same number of views: an epoch on cached features has four views of each photo, an epoch
that recomputes them has one, and there are four times as many of those. Each call adds a seed (benchmarks/rounds.py).
Writes benchmarks/results/features.json.
"""

import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tyro

from benchmarks import machine
from benchmarks.measurements import result_file, write
from benchmarks.networks import SAMPLE
from benchmarks.rounds import Rounds
from handlers.engines.network import Network
from training.config import Freeze, TrainConfig
from training.data.dataset import Batch, preprocessing_of
from training.data.photos import PhotoSet
from training.data.source import read_data
from training.distributed import SINGLE_PROCESS
from training.evaluation.evaluation import compute_logits
from training.fit.batches import FEATURE_VIEWS, BatchSource
from training.fit.features import compute_features
from training.fit.trainer import Trainer

RESULTS = result_file("features")
FREEZE: Freeze = "backbone"
Measured = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Command:
    architecture: str = "resnet18"
    image_size_px: int = 160
    epochs: int = 3
    """On cached features."""
    seeds: int = 1
    """Seeds to measure now; they add to earlier ones."""
    results: Path = RESULTS


class RecomputingSource(BatchSource):
    """Computes the features anew in every epoch, from new views."""

    def step_count(self, epoch: int) -> int:
        return -(-len(self._train.photos) // self.batch_size(epoch))

    def training_batches(self, network: Network, epoch: int) -> Iterator[Batch]:
        batches = self._train.batches(
            batch_size=self.batch_size(epoch), seed=self._config.seed, epoch=epoch
        )
        for batch in batches:
            yield compute_features(network, [batch], self._group.device)


def measure(config: TrainConfig, photos: PhotoSet, *, recompute: bool) -> Measured:
    """Return the seconds of the first and the median later epoch, evaluation included, and test accuracy, 0..1."""
    trainer = Trainer(config, photos, SINGLE_PROCESS)
    if recompute:
        trainer.batch_source = RecomputingSource(config, photos, SINGLE_PROCESS)
    epoch_s = []
    for epoch in range(config.total_epochs):
        began = time.perf_counter()
        trainer.run_epoch(epoch)
        epoch_s.append(time.perf_counter() - began)
    network = trainer.state.averaged_network.eval()
    logits, labels = compute_logits(network, photos.of("test"), preprocessing_of(config))
    return {
        "first_epoch_s": round(epoch_s[0], 3),
        "later_epoch_s": round(statistics.median(epoch_s[1:]), 4),
        "accuracy": round(float((logits.argmax(1) == labels).double().mean()), 4),
    }


def summarise(
    command: Command, photos: PhotoSet, rounds: Sequence[Mapping[str, Measured]]
) -> dict[str, Any]:
    """Return what benchmarks/results/features.json holds: medians of seconds, means of accuracy, every run."""
    runs = {name: [one_round[name] for one_round in rounds] for name in ("cached", "recomputed")}
    later = {
        name: statistics.median(run["later_epoch_s"] for run in measured)
        for name, measured in runs.items()
    }
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
        **_conditions(command),
        "train_n": len(photos.of("train")),
        "test_n": len(photos.of("test")),
        "epoch_speedup": round(later["recomputed"] / later["cached"], 1),
        "view_speedup": round(later["recomputed"] / later["cached"] * FEATURE_VIEWS, 1),
        "accuracy": {
            name: round(statistics.fmean(run["accuracy"] for run in measured), 4)
            for name, measured in runs.items()
        },
        "runs": runs,
    }


def _conditions(command: Command) -> dict[str, Any]:
    return {
        "architecture": command.architecture,
        "image_size_px": command.image_size_px,
        "epochs": command.epochs,
    }


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    rounds = Rounds.under(
        packages=("handlers", "training"), benchmark="features", **_conditions(command)
    )
    for _ in range(command.seeds):
        cached = TrainConfig(
            data=SAMPLE, architecture=command.architecture, weights="embedded", freeze=FREEZE,
            seed=len(rounds.read()), image_size_px=command.image_size_px, resize_ratio=1.0,
            head_epochs=command.epochs,
        )  # fmt: skip
        again = replace(cached, head_epochs=command.epochs * FEATURE_VIEWS)
        photos = read_data(cached)
        figures = {
            "cached": measure(cached, photos, recompute=False),
            "recomputed": measure(again, photos, recompute=True),
        }
        rounds.add(figures)
        sys.stderr.write(f"seed {cached.seed}: {figures}\n")
        write(command.results, summarise(command, photos, rounds.read()))
    sys.stdout.write(command.results.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
