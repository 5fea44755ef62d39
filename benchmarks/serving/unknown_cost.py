"""What the outcome costs a worker: CPU time of answers with the unknown score and without it, in turn.

    headswap export RUN --name NAME --version 1.0
    python -m benchmarks.serving.unknown_cost --archive model_store/NAME-1.0.mar

One process with one thread, as a worker is one. Both classifiers answer the same photos in each round, and the one that
is first changes; CPU time rather than wall time, as other programs may run. Writes results/unknown-cost.json.
"""

import os
import statistics
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before the libraries that read it: a worker's network has one thread.
os.environ["OMP_NUM_THREADS"] = "1"

import tyro

from benchmarks import photos
from benchmarks.measurements import ROOT, WORK, merge, result_file

if TYPE_CHECKING:
    from handlers.classifier import Classifier

HEADERS = {"Content-Type": "image/jpeg"}
PHOTOS_PER_ROUND = 8


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: Path
    """Of a network with an unknown score: the more train photos it has, up to 2,000, the longer it takes."""
    rounds: int = 400
    results: Path = result_file("unknown-cost")


def main() -> int:
    """Return the exit code."""
    command = tyro.cli(Command, description=__doc__)
    listing = photos.make(WORK / "photos", "366x500").read_text().splitlines()
    bodies = [Path(line).read_bytes() for line in listing[:PHOTOS_PER_ROUND]]
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(command.archive) as packed:
            packed.extractall(folder)
        figures = measure(Path(folder), bodies, rounds=command.rounds)
    key = f"{figures['architecture']}, {figures['image_size_px']} px, {figures['prototypes']} prototypes"
    merge(key, figures, command.results)
    ratio = figures["cpu_ratio"]
    sys.stdout.write(
        f"{ratio['median']:.3f} times the CPU time ({ratio['low']:.3f} to {ratio['high']:.3f}), "
        f"{figures['rounds']} rounds\n"
    )
    return 0


def measure(archive: Path, bodies: list[bytes], *, rounds: int) -> dict[str, Any]:
    """Return the medians over the rounds, and over their ratios of answers with the score to those without."""
    from handlers.engines.unknown import read_scorer

    classifiers = {name: load(archive, has_score=name == "on") for name in ("off", "on")}
    for classifier in classifiers.values():
        ask(classifier, bodies)
    cpu_s: dict[str, list[float]] = {name: [] for name in classifiers}
    for number in range(rounds):
        for name, classifier in list(classifiers.items())[:: 1 if number % 2 else -1]:
            cpu_s[name].append(ask(classifier, bodies))
    ratios = [on / off for on, off in zip(cpu_s["on"], cpu_s["off"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    card = classifiers["on"].archive.card
    scorer = read_scorer(classifiers["on"].archive.unknown_path, sha256=card.unknown["sha256"])
    return {
        "architecture": card.architecture,
        "image_size_px": card.preprocessing.image_size_px,
        "prototypes": len(scorer.prototypes),
        "engine": classifiers["on"].pipeline.name,
        "rounds": rounds,
        "photos": len(bodies),
        "cpu_ms": {
            name: round(1e3 * statistics.median(times) / len(bodies), 3)
            for name, times in cpu_s.items()
        },
        "cpu_ratio": {
            "median": round(middle, 4),
            "low": round(low, 4),
            "high": round(high, 4),
        },
    }


def load(archive: Path, *, has_score: bool) -> "Classifier":
    """Return the archive's classifier, with its unknown score or without."""
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

    from handlers.classifier import load_classifier

    cache = MetricsCacheYamlImpl(config_file_path=str(ROOT / "serving" / "metrics.yaml"))
    cache.initialize_cache()
    settings = {"handler": {"unknown": has_score}}
    return load_classifier(archive, model_config=settings, gpu_id=None, metric_cache=cache)


def ask(classifier: "Classifier", bodies: list[bytes]) -> float:
    """Return the CPU seconds of answering all, one after the other."""
    began = time.process_time()
    for body in bodies:
        [response] = classifier.respond([{"body": body}], [HEADERS])
        assert response.status == 200
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
