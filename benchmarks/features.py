"""A frozen body: its features computed once, against passing the photos through it again every epoch.

    python -m benchmarks.features --seeds 3

Both heads see as many views of the photos: an epoch on cached features goes through four of each photo, one that
passes them again through one, and there are four times as many of those. Writes benchmarks/features.json.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tyro

from benchmarks import machine
from benchmarks.networks import SAMPLE
from handlers.network import Network
from training.config import TrainConfig
from training.dataset import Batch, preprocessing_of
from training.evaluation import compute_logits
from training.features import compute_features
from training.feed import FEATURE_VIEWS, Feed
from training.loop import Trainer
from training.photos import PhotoSet
from training.pseudo_labels import Teacher
from training.ranks import ALONE
from training.run import write_json
from training.source import read_data

RESULTS = Path(__file__).with_name("features.json")
Measured = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Command:
    architecture: str = "resnet18"
    image_size_px: int = 160
    epochs: int = 3
    """On cached features."""
    seeds: int = 3
    results: Path = RESULTS


class PassingFeed(Feed):
    """Computes what the head is given anew in every epoch, from new views."""

    def step_count(self, epoch: int) -> int:
        return -(-len(self._train.photos) // self._config.batch_size)

    def learning(self, network: Network, epoch: int, *, teacher: Teacher) -> Iterator[Batch]:
        batches = self._train.batches(
            batch_size=self._config.batch_size, seed=self._config.seed, epoch=epoch
        )
        for batch in batches:
            yield compute_features(network, [batch], self._ranks.device)


def measure(config: TrainConfig, photos: PhotoSet, *, passing: bool) -> Measured:
    """Return the seconds of the first and of the median later epoch, val judged, and accuracy on test, 0..1."""
    trainer = Trainer(config, photos, ALONE)
    if passing:
        trainer.feed = PassingFeed(config, photos, ALONE)
    epoch_s = []
    for epoch in range(config.total_epochs):
        began = time.perf_counter()
        trainer.run_epoch(epoch)
        epoch_s.append(time.perf_counter() - began)
    network = trainer.state.judged.eval()
    logits, labels = compute_logits(network, photos.of("test"), preprocessing_of(config))
    return {
        "first_epoch_s": round(epoch_s[0], 3),
        "later_epoch_s": round(statistics.median(epoch_s[1:]), 4),
        "accuracy": round(float((logits.argmax(1) == labels).double().mean()), 4),
    }


def summarise(
    command: Command, photos: PhotoSet, found: Mapping[str, list[Measured]]
) -> dict[str, Any]:
    """Return what benchmarks/features.json holds: medians of seconds, means of accuracy, every run."""
    later = {
        name: statistics.median(one["later_epoch_s"] for one in runs)
        for name, runs in found.items()
    }
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
        **_conditions(command),
        "train_n": len(photos.of("train")),
        "test_n": len(photos.of("test")),
        "times_as_fast_an_epoch": round(later["passing"] / later["cached"], 1),
        "times_as_fast_a_view": round(later["passing"] / later["cached"] * FEATURE_VIEWS, 1),
        "accuracy": {
            name: round(statistics.fmean(one["accuracy"] for one in runs), 4)
            for name, runs in found.items()
        },
        "runs": found,
    }


def _conditions(command: Command) -> dict[str, Any]:
    return {
        "architecture": command.architecture,
        "image_size_px": command.image_size_px,
        "epochs": command.epochs,
    }


def read_runs(command: Command) -> dict[str, list[Measured]]:
    """Return the runs that were measured under the same conditions before."""
    told = json.loads(command.results.read_text()) if command.results.exists() else {}
    if _conditions(command).items() <= told.items():
        return dict(told["runs"])
    return {"cached": [], "passing": []}


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    found = read_runs(command)
    for _ in range(command.seeds):
        seed = len(found["cached"])
        cached = TrainConfig(
            data=SAMPLE, architecture=command.architecture, weights="embedded", freeze="body", seed=seed,
            image_size_px=command.image_size_px, resize_ratio=1.0, head_epochs=command.epochs,
        )  # fmt: skip
        again = replace(cached, head_epochs=command.epochs * FEATURE_VIEWS)
        photos = read_data(cached)
        found["cached"].append(measure(cached, photos, passing=False))
        found["passing"].append(measure(again, photos, passing=True))
        sys.stderr.write(f"seed {seed}: {found['cached'][-1]} {found['passing'][-1]}\n")
        write_json(command.results, summarise(command, photos, found))
    sys.stdout.write(command.results.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
