"""Photos per second of a training epoch, decoding included: headswap, torchvision's recipe and timm's, in turn.

    python -m benchmarks.training.speed --photos 366x500
    python -m benchmarks.training.speed --photos 12mp

All candidates train the same network on the same photos, at the same size and batch size, and start anew in each round.
The first epoch decodes every photo; after it headswap has them decoded, and the others decode again. Rounds add up
(benchmarks/rounds.py), and the figures in benchmarks/results/training.json are the medians of all.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks import photos
from benchmarks.errors import BenchmarkError
from benchmarks.measurements import ROOT, WORK, merge, result_file
from benchmarks.photos import Size
from benchmarks.rounds import Rounds
from benchmarks.serving.candidates import CORES, PEERS, peer_python

RESULTS = result_file("training")
# Multiples of the batch size, 32, because timm's loader drops an incomplete batch. Few photos of 12 megapixels,
# because the peers decode them slowly.
COUNTS: dict[Size, int] = {"366x500": 128, "12mp": 64}
EPOCHS = 2


@dataclass(frozen=True, kw_only=True)
class Command:
    architecture: str = "resnet18"
    photos: Size = "366x500"
    rounds: int = 1
    workers: int = CORES
    """Worker processes of the peers' data loaders."""
    results: Path = RESULTS


def candidates(command: Command, folder: Path) -> dict[str, list[str]]:
    """Return the command line of each candidate."""
    argv = [str(folder), command.architecture, str(EPOCHS)]
    workers = str(command.workers)
    return {
        "headswap": [sys.executable, str(PEERS / "headswap_training.py"), *argv],
        "torchvision": [peer_python(), str(PEERS / "torchvision_training.py"), *argv, workers],
        "timm": [peer_python(), str(PEERS / "timm_training.py"), *argv, workers],
    }


def measure(command: Sequence[str]) -> list[float]:
    """Return the photos per second of each epoch.

    Raises:
        BenchmarkError: the candidate failed.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    if done.returncode != 0:
        raise BenchmarkError(f"{Path(command[1]).stem} failed: {done.stderr[-2000:]}")
    figures = json.loads(done.stdout.splitlines()[-1])
    return [round(figures["photos"] / seconds, 2) for seconds in figures["epoch_s"]]


def summarise(rounds: Sequence[dict[str, list[float]]]) -> dict[str, Any]:
    """Return the medians of each candidate's first and later epochs, and headswap's speed over each peer's."""
    medians = {
        name: {
            "first_epoch": statistics.median(speeds[name][0] for speeds in rounds),
            "later_epochs": statistics.median(
                speed for speeds in rounds for speed in speeds[name][1:]
            ),
        }
        for name in rounds[0]
    }
    ours = medians["headswap"]
    return {
        "photos_per_s": medians,
        "speedup": {
            name: {epoch: round(ours[epoch] / speeds[epoch], 2) for epoch in speeds}
            for name, speeds in medians.items()
            if name != "headswap"
        },
    }


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    try:
        _run(command)
    except BenchmarkError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1
    return 0


def _run(command: Command) -> None:
    folder = photos.make_folder(WORK / "training", command.photos, COUNTS[command.photos])
    key = f"{command.architecture} {command.photos}"
    measured = Rounds.under(
        packages=("handlers", "training"),
        benchmark="training",
        measured=key,
        workers=command.workers,
        count=COUNTS[command.photos],
    )
    for _ in range(command.rounds):
        commands = candidates(command, folder)
        # The order is reversed in every other round, so that a machine that slows down treats all alike.
        names = list(commands)[:: -1 if len(measured.read()) % 2 else 1]
        speeds = {name: measure(commands[name]) for name in names}
        measured.add({name: speeds[name] for name in commands})
        sys.stderr.write(f"{speeds}\n")
    rounds = measured.read()
    entry = {"workers_of_peers": command.workers, **summarise(rounds), "rounds": rounds}
    merge(key, entry, command.results)
    sys.stdout.write(json.dumps(entry, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
