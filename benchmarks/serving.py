"""Requests a second of headswap and of its peers: the same weights, photos, cores and load generator, in turn.

    python -m benchmarks.serving --architecture resnet18
    python -m benchmarks.serving --architecture resnet18 --photos 12mp --only headswap stock-tuned

Every contender is started once and held (SIGSTOP) between its turns. In each round all of them take every load in
turn; a figure is the median over the rounds. Closed loops: each connection sends as soon as it is answered. Open loops:
requests come at random, as many a second for all contenders; their latencies are those of all rounds together.
Results go to benchmarks/results.json, one key an architecture and kind of photos; `python -m benchmarks.tables` puts
them into the README.
"""

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from benchmarks import ceiling, contenders, load, photos, processes
from benchmarks.contenders import CORES, Contender
from benchmarks.errors import BenchmarkError
from benchmarks.networks import Network, prepare
from benchmarks.photos import Kind
from benchmarks.results import PATH, WORK, merge, middle
from serving.gates import percentile
from tuning.load import Seen

LEADING = 8
"""Connections with which every kind of photos is sent."""
NOT_TIMED = ("headswap-onnx", "stock", "no-op")
"""In open loops and with other photos: two differ by a setting from another, the third looks at no photo."""
KINDS: dict[str, Callable[[Network, Path], Contender]] = {
    "headswap": lambda network, work: contenders.ours(network.archive, work),
    "headswap-onnx": lambda network, work: contenders.ours(
        network.archive,
        work,
        name="headswap with ONNX Runtime",
        changes={"handler": {"engine": "onnx"}},
    ),
    "headswap-batches": lambda network, work: contenders.ours(
        network.archive, work, name="headswap with batches of 2", changes={"batchSize": 2}
    ),
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
ASKED_FOR = ("headswap-batches", "stock-4")
"""Not measured unless --only names them."""


@dataclass(frozen=True, kw_only=True)
class Command:
    architecture: str = "resnet18"
    photos: tuple[Kind, ...] = ("366x500",)
    """The first kind is sent by every load, the others by 8 connections alone."""
    only: tuple[str, ...] = tuple(name for name in KINDS if name not in ASKED_FOR)
    """Contenders to run; the in-process ceiling always runs."""
    connections: tuple[int, ...] = (LEADING,)
    """Closed loops."""
    open_loads: tuple[float, ...] = ()
    """Open loops, as shares of what the cores do in process."""
    seconds: int = 5
    """Of one measurement."""
    rounds: int = 3
    results: Path = PATH


@dataclass(kw_only=True)
class Loads:
    """What one contender did with one kind of photos, a value a round."""

    closed: dict[int, list[load.Load]] = field(default_factory=lambda: defaultdict(list))
    open: dict[float, list[Seen]] = field(default_factory=lambda: defaultdict(list))

    def to_dict(self) -> dict[str, Any]:
        return {
            "connections": {str(count): _closed(found) for count, found in self.closed.items()},
            "open": {f"{share:.0%}": _open(found) for share, found in self.open.items()},
        }


@dataclass(kw_only=True)
class Runner:
    """A contender that runs, and what it did so far."""

    contender: Contender
    start_s: float
    resident_mb: float = 0.0
    loads: dict[Kind, Loads] = field(default_factory=lambda: defaultdict(Loads))


def main() -> int:
    """Return the exit code."""
    try:
        Bench(tyro.cli(Command, description=__doc__)).run()
    except BenchmarkError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1
    return 0


class Bench:
    def __init__(self, command: Command) -> None:
        WORK.mkdir(parents=True, exist_ok=True)
        self.command = command
        self.network = prepare(command.architecture, WORK)
        self.listings = {kind: photos.make(WORK / "photos", kind) for kind in command.photos}
        self.main_kind = command.photos[0]
        self.first = Path(self.listings[self.main_kind].read_text().splitlines()[0])
        self.ceilings: dict[Kind, list[ceiling.Ceiling]] = defaultdict(list)
        self.alone: list[ceiling.Ceiling] = []
        """With photos of the main kind in a single process."""
        self.faults: dict[str, str] = {}

    def run(self) -> None:
        """Measure, and write what was found."""
        with self._started() as runners:
            for number in range(self.command.rounds):
                for kind in self.listings:
                    self._round(kind, runners, is_backward=number % 2 == 1)
            for runner in runners.values():
                assert runner.contender.process is not None
                size_bytes = processes.resident_bytes(runner.contender.process)
                runner.resident_mb = round(size_bytes / 1e6, 2)
        for kind in self.listings:
            found = self._found(kind, runners)
            merge(f"serving {self.command.architecture} {kind}", found, self.command.results)
            sys.stdout.write(json.dumps(found, indent=2) + "\n")

    @contextmanager
    def _started(self) -> Iterator[dict[str, Runner]]:
        """Yield the contenders that came up, warmed up."""
        runners: dict[str, Runner] = {}
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=WORK)))
            for name in self.command.only:
                folder = work / name
                folder.mkdir()
                contender = KINDS[name](self.network, folder)
                stack.callback(contender.stop)
                with self._noting(name):
                    start_s = contender.start(self.first, WORK / "logs" / f"{name}.log")
                    load.measure(
                        contender.asked(),
                        self.listings[self.main_kind],
                        connections=LEADING,
                        seconds=contender.warm_up_s,
                    )
                    contender.settle(self.first)
                    assert contender.process is not None
                    processes.suspend(contender.process)
                    runners[name] = Runner(contender=contender, start_s=round(start_s, 2))
                    sys.stderr.write(f"{name} answers after {start_s:.1f} s\n")
            yield runners

    def _round(self, kind: Kind, runners: dict[str, Runner], *, is_backward: bool) -> None:
        listing = self.listings[kind]
        self.ceilings[kind].append(self._ceiling(listing, CORES))
        is_main = kind == self.main_kind
        if is_main:
            self.alone.append(self._ceiling(listing, 1))
        # Every other round the other way round: a machine that tires treats all alike.
        for name in list(runners)[:: -1 if is_backward else 1]:
            if name in self.faults or (not is_main and name in NOT_TIMED):
                continue
            with self._noting(name), runners[name].contender.turn(self.first):
                self._take_turn(name, runners[name], kind)

    def _take_turn(self, name: str, runner: Runner, kind: Kind) -> None:
        found, listing = runner.loads[kind], self.listings[kind]
        is_main = kind == self.main_kind
        for count in self.command.connections if is_main else (LEADING,):
            found.closed[count].append(self._closed(runner, listing, count))
            runner.contender.settle(self.first)
        for share in self.command.open_loads if is_main and name not in NOT_TIMED else ():
            seed = len(found.open[share])
            found.open[share].append(self._open(runner, listing, share, seed=seed))

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        """Note why a contender fell out: one that does must not cost the others their figures."""
        try:
            yield
        except BenchmarkError as error:
            self.faults[name] = str(error)
            sys.stderr.write(f"{name}: {error}\n")

    def _closed(self, runner: Runner, listing: Path, count: int) -> load.Load:
        asked, seconds = runner.contender.asked(), self.command.seconds
        one = load.measure(asked, listing, connections=count, seconds=seconds)
        name = runner.contender.name
        sys.stderr.write(f"{name}, {count} connections: {one.requests_per_s:.1f} a second\n")
        return one

    def _open(self, runner: Runner, listing: Path, share: float, *, seed: int) -> Seen:
        asked, rate_per_s = runner.contender.asked(), self._rate_per_s(share)
        one = load.measure_open(
            asked, listing, rate_per_s=rate_per_s, seconds=self.command.seconds, seed=seed
        )
        name = runner.contender.name
        sys.stderr.write(f"{name}, {rate_per_s:.1f} a second: p99 {one.p(0.99):.0f} ms\n")
        return one

    def _rate_per_s(self, share: float) -> float:
        """Return the same rate in all rounds: a share of the first one's ceiling."""
        return round(share * self.ceilings[self.main_kind][0].photos_per_s, 1)

    def _ceiling(self, listing: Path, count: int) -> ceiling.Ceiling:
        one = ceiling.measure(
            self.network.archive, listing, processes=count, seconds=self.command.seconds
        )
        sys.stderr.write(f"in {count} processes: {one.photos_per_s:.1f} a second\n")
        return one

    def _found(self, kind: Kind, runners: dict[str, Runner]) -> dict[str, Any]:
        inside = {"photos_per_s": middle([one.photos_per_s for one in self.ceilings[kind]])}
        if kind == self.main_kind:
            inside["one_photo_ms"] = middle([one.median_ms for one in self.alone])
        servers: dict[str, Any] = {
            name: {
                "start_s": runner.start_s,
                "resident_mb": runner.resident_mb,
                **runner.loads[kind].to_dict(),
            }
            for name, runner in runners.items()
            if name not in self.faults and kind in runner.loads
        }
        return {
            "rounds": self.command.rounds,
            "seconds": self.command.seconds,
            "in_process": inside,
            "open_rates_per_s": {
                f"{share:.0%}": self._rate_per_s(share)
                for share in self.command.open_loads
                if kind == self.main_kind
            },
            "servers": servers | {name: {"fault": text} for name, text in self.faults.items()},
        }


def _closed(found: list[load.Load]) -> dict[str, Any]:
    speeds = [one.requests_per_s for one in found]
    return {
        "requests_per_s": middle(speeds),
        "spread": [round(min(speeds), 2), round(max(speeds), 2)],
        "p50_ms": middle([one.p50_ms for one in found]),
        "p99_ms": middle([one.p99_ms for one in found]),
        "failed": sum(one.bad_status + one.lost for one in found),
    }


def _open(found: list[Seen]) -> dict[str, Any]:
    latencies_ms = [latency for one in found for latency in one.latencies_ms]
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    return {
        "requests": len(latencies_ms),
        **{name: round(percentile(latencies_ms, share), 2) for name, share in shares.items()},
        "failed": sum(one.failed for one in found),
    }


if __name__ == "__main__":
    sys.exit(main())
