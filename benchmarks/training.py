"""Photos a second of a training epoch, decoding included: headswap, torchvision's recipe and timm's, in turn.

    python -m benchmarks.training --photos 366x500
    python -m benchmarks.training --photos 12mp

The same network, photos, size and batch in every contender; each round starts each of them anew. The first epoch
decodes every photo; in later ones headswap has them decoded and the others decode again. Rounds add up
(benchmarks/rounds.py), and the figures in benchmarks/training.json are the medians of all.
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
from benchmarks.candidates import CORES, PEERS, peer_python
from benchmarks.errors import BenchmarkError
from benchmarks.photos import Size
from benchmarks.results import WORK, merge
from benchmarks.rounds import Rounds

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("training.json")
# Multiples of the batch of 32: timm's loader leaves out what is over. 12 megapixels take a peer long to decode.
COUNTS: dict[Size, int] = {"366x500": 128, "12mp": 64}
EPOCHS = 2


@dataclass(frozen=True, kw_only=True)
class Command:
    architecture: str = "resnet18"
    photos: Size = "366x500"
    rounds: int = 1
    workers: int = CORES
    """Of the peers' loaders."""
    results: Path = RESULTS


def candidates(command: Command, folder: Path) -> dict[str, list[str]]:
    """Return the command line of each."""
    words = [str(folder), command.architecture, str(EPOCHS)]
    workers = str(command.workers)
    return {
        "headswap": [sys.executable, str(PEERS / "headswap_training.py"), *words],
        "torchvision": [peer_python(), str(PEERS / "torchvision_training.py"), *words, workers],
        "timm": [peer_python(), str(PEERS / "timm_training.py"), *words, workers],
    }


def measure(command: Sequence[str]) -> list[float]:
    """Return photos a second of each epoch.

    Raises:
        BenchmarkError: the contender failed.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    if done.returncode != 0:
        raise BenchmarkError(f"{Path(command[1]).stem} failed: {done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return [round(told["photos"] / seconds, 2) for seconds in told["epoch_s"]]


def summarise(rounds: Sequence[dict[str, list[float]]]) -> dict[str, Any]:
    """Return the median of each contender's first and later epochs, and headswap's over each peer's."""
    medians = {
        name: {
            "first_epoch": statistics.median(one[name][0] for one in rounds),
            "later_epochs": statistics.median(speed for one in rounds for speed in one[name][1:]),
        }
        for name in rounds[0]
    }
    ours = medians["headswap"]
    return {
        "photos_per_s": medians,
        "times_as_fast": {
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
        rooms=("handlers", "training"),
        benchmark="training",
        measured=key,
        workers=command.workers,
        count=COUNTS[command.photos],
    )
    for _ in range(command.rounds):
        commands = candidates(command, folder)
        # Every other round the other way round: a machine that tires treats all alike.
        names = list(commands)[:: -1 if len(measured.read()) % 2 else 1]
        speeds = {name: measure(commands[name]) for name in names}
        measured.add({name: speeds[name] for name in commands})
        sys.stderr.write(f"{speeds}\n")
    rounds = measured.read()
    found = {"workers_of_peers": command.workers, **summarise(rounds), "rounds": rounds}
    merge(key, found, command.results)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
