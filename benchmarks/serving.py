"""Requests a second of headswap and of its peers: the same weights, photos, cores and load generator, in turn.

    python -m benchmarks.serving --architecture resnet18
    python -m benchmarks.serving --architecture resnet18 --photos 12mp --only headswap stock-tuned

Every round starts each contender anew, warms it up and loads it; the figure is the median over the rounds. Results go
to benchmarks/results.json, one key an architecture and photo size; `python -m benchmarks.tables` puts them into the
README.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from benchmarks import ceiling, contenders, load, photos, processes
from benchmarks.contenders import Contender
from benchmarks.errors import BenchmarkError
from benchmarks.networks import Network, prepare
from benchmarks.photos import Kind
from benchmarks.results import PATH, WORK, merge, middle

CORES = len(os.sched_getaffinity(0))
KINDS: dict[str, Callable[[Network, Path], Contender]] = {
    "headswap": lambda network, work: contenders.ours(network.archive, work),
    "stock": lambda network, work: contenders.stock_torchserve(network.folder, work, tuned=False),
    "stock-tuned": lambda network, work: contenders.stock_torchserve(
        network.folder, work, tuned=True
    ),
    "fastapi": lambda network, work: contenders.fastapi(network.folder),
    "litserve": lambda network, work: contenders.litserve(network.folder),
    "bentoml": lambda network, work: contenders.bentoml(network.folder),
    "ray": lambda network, work: contenders.ray_serve(network.folder),
    "no-op": lambda network, work: contenders.noop_torchserve(work),
    "stock-4": lambda network, work: contenders.stock_torchserve(
        network.folder, work, tuned=True, workers=4
    ),
}


@dataclass(frozen=True, kw_only=True)
class Command:
    architecture: str = "resnet18"
    photos: Kind = "366x500"
    only: tuple[str, ...] = tuple(name for name in KINDS if name != "stock-4")
    """Contenders to run; the in-process ceiling always runs."""
    connections: tuple[int, ...] = (8,)
    """Closed loops: each connection sends as soon as it is answered."""
    seconds: int = 5
    """Of one measurement."""
    rounds: int = 3
    results: Path = PATH


@dataclass(kw_only=True)
class Rounds:
    """What one contender did, a value a round."""

    start_s: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    loads: dict[int, list[load.Load]] = field(default_factory=lambda: defaultdict(list))
    fault: str | None = None

    def to_dict(self) -> dict[str, Any]:
        if self.fault is not None:
            return {"fault": self.fault}
        return {
            "start_s": middle(self.start_s),
            "resident_mb": middle(self.resident_mb),
            "connections": {
                str(count): {
                    "requests_per_s": middle([one.requests_per_s for one in found]),
                    "spread": [
                        round(min(one.requests_per_s for one in found), 2),
                        round(max(one.requests_per_s for one in found), 2),
                    ],
                    "p50_ms": middle([one.p50_ms for one in found]),
                    "p99_ms": middle([one.p99_ms for one in found]),
                    "failed": sum(one.bad_status + one.lost for one in found),
                }
                for count, found in self.loads.items()
            },
        }


def main() -> int:
    """Return the exit code."""
    try:
        _run(tyro.cli(Command, description=__doc__))
    except BenchmarkError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1
    return 0


def _run(command: Command) -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    network = prepare(command.architecture, WORK)
    photo_list = photos.make(WORK / "photos", command.photos)
    measured = {name: Rounds() for name in command.only}
    ceilings: list[ceiling.Ceiling] = []
    alone: list[ceiling.Ceiling] = []
    for number in range(command.rounds):
        ceilings.append(_ceiling(network, photo_list, CORES, command.seconds))
        alone.append(_ceiling(network, photo_list, 1, command.seconds))
        # Every other round the other way round: a machine that tires treats all alike.
        for name in command.only[:: -1 if number % 2 else 1]:
            _measure(name, network, photo_list, command, measured[name])
    found = {
        "rounds": command.rounds,
        "seconds": command.seconds,
        "in_process": {
            "photos_per_s": middle([one.photos_per_s for one in ceilings]),
            "one_photo_ms": middle([one.median_ms for one in alone]),
        },
        "servers": {name: one.to_dict() for name, one in measured.items()},
    }
    merge(f"serving {command.architecture} {command.photos}", found, command.results)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def _measure(
    name: str, network: Network, photo_list: Path, command: Command, found: Rounds
) -> None:
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        contender = KINDS[name](network, Path(folder))
        first = Path(photo_list.read_text().splitlines()[0])
        try:
            found.start_s.append(contender.start(first, WORK / "logs" / f"{name}.log"))
            load.measure(contender.target, photo_list, connections=8, seconds=contender.warm_up_s)
            for count in command.connections:
                one = load.measure(
                    contender.target, photo_list, connections=count, seconds=command.seconds
                )
                found.loads[count].append(one)
                sys.stderr.write(
                    f"{name}, {count} connections: {one.requests_per_s:.1f} a second\n"
                )
            assert contender.process is not None
            found.resident_mb.append(processes.resident_bytes(contender.process) / 1e6)
        except BenchmarkError as error:
            # One that does not come up must not cost the others their figures.
            found.fault = str(error)
            sys.stderr.write(f"{name}: {error}\n")
        finally:
            contender.stop()


def _ceiling(network: Network, photo_list: Path, count: int, seconds: float) -> ceiling.Ceiling:
    one = ceiling.measure(network.archive, photo_list, processes=count, seconds=seconds)
    sys.stderr.write(f"in {count} processes: {one.photos_per_s:.1f} a second\n")
    return one


if __name__ == "__main__":
    sys.exit(main())
