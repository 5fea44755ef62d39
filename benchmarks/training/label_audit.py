"""How many of planted wrong labels `headswap data audit` names, by planting them into labels that are there.

    python -m benchmarks.training.label_audit PHOTOS --name clothing

In each draw a share of the labels, chosen at random, becomes another class, each as likely. Precision and recall are
those of the first photos of the ranking, as many as there are planted labels, so that the two are equal; and of the
suspects, whose number the audit estimates itself. The photos' own wrong labels count against it. Adds a key to
benchmarks/results/label-audit.json.
"""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.measurements import WORK, merge, result_file
from training.audit.audit import audit_labels, rank_labels
from training.audit.features import PhotoFeatures
from training.data.duplicates import NearDuplicate, find_near_duplicates
from training.data.photos import Photo, scan_photos

RESULTS = result_file("label-audit")
Measured = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Command:
    photos: tyro.conf.Positional[Path]
    """Folder of class folders."""
    name: str
    """Key of the result."""
    share: float = 0.08
    """Of the labels, that is planted wrong."""
    draws: int = 5
    results: Path = RESULTS


def plant(photos: Sequence[Photo], share: float, *, class_count: int, seed: int) -> list[Photo]:
    """Return the photos, a share of them under another class."""
    generator = np.random.default_rng(seed)
    wrong = set(generator.choice(len(photos), round(share * len(photos)), replace=False).tolist())
    return [
        replace(photo, label=int((photo.label + generator.integers(1, class_count)) % class_count))
        if index in wrong
        else photo
        for index, photo in enumerate(photos)
    ]


def measure(
    photos: Sequence[Photo],
    planted: Sequence[Photo],
    features: torch.Tensor,
    near_duplicates: Sequence[NearDuplicate],
    *,
    class_names: tuple[str, ...],
    seed: int,
) -> Measured:
    """Return precision and recall, 0..1, and the seconds that the audit takes once it has the features."""
    by_path = {photo.path: photo for photo in planted}
    pairs = [
        replace(pair, first=by_path[pair.first.path], second=by_path[pair.second.path])
        for pair in near_duplicates
    ]
    wrong = {
        now.path for before, now in zip(photos, planted, strict=True) if before.label != now.label
    }
    began = time.perf_counter()
    audit = audit_labels(
        planted, features, class_names=class_names, near_duplicates=pairs, seed=seed
    )
    audit_s = time.perf_counter() - began
    ranking = rank_labels(
        planted, features, class_names=class_names, near_duplicates=pairs, seed=seed
    )
    first = {planted[index].path for index in ranking[: len(wrong)]}
    suspects = {suspect.photo.path for suspect in audit.of("label")}
    return {
        "precision_of_first": len(wrong & first) / len(first),
        "suspects": len(suspects) / len(photos),
        "precision_of_suspects": len(wrong & suspects) / max(len(suspects), 1),
        "recall_of_suspects": len(wrong & suspects) / len(wrong),
        "audit_s": audit_s,
    }


def main() -> int:
    command = tyro.cli(Command, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    scanned = scan_photos(command.photos)
    cache = WORK / f"label-audit-{command.name}"
    cache.mkdir(parents=True, exist_ok=True)
    features = PhotoFeatures(cache).of(scanned.photos)
    near_duplicates = find_near_duplicates(scanned.photos)
    draws: list[Measured] = []
    for seed in range(command.draws):
        planted = plant(
            scanned.photos, command.share, class_count=len(scanned.class_names), seed=seed
        )
        draws.append(
            measure(
                scanned.photos,
                planted,
                features,
                near_duplicates,
                class_names=scanned.class_names,
                seed=seed,
            )
        )
        print(draws[-1], file=sys.stderr, flush=True)
    merge(
        f"{command.name}, {command.share:.0%} planted",
        {
            "photos": len(scanned.photos),
            "draws": command.draws,
            **{name: _summary([draw[name] for draw in draws]) for name in draws[0]},
        },
        command.results,
    )
    return 0


def _summary(values: Sequence[float]) -> Mapping[str, float]:
    return {
        "mean": round(statistics.mean(values), 4),
        "deviation": round(statistics.stdev(values), 4) if len(values) > 1 else 0.0,
    }


if __name__ == "__main__":
    sys.exit(main())
