"""Requests a second of headswap and of its peers: the same weights, photos, cores and load generator, in turn.

    python -m benchmarks.serving --architecture resnet18
    python -m benchmarks.serving --architecture resnet18 --photos 12mp --only headswap stock-tuned

Every contender is started once and held (SIGSTOP) between its turns. In each round all of them take every load in
turn. Closed loops: each connection sends as soon as it is answered. Open loops: requests come at random, as many a
second for all contenders. Rounds add up (benchmarks/rounds.py), and a figure is the median over all of them. Results go
to benchmarks/results.json, one key an architecture and kind of photos; `python -m benchmarks.tables` puts them into the
README.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks import candidates, ceiling, load, photos, processes
from benchmarks.candidates import CORES, Candidate
from benchmarks.errors import BenchmarkError
from benchmarks.networks import Network, prepare
from benchmarks.photos import Kind
from benchmarks.results import PATH, WORK, merge
from benchmarks.rounds import Rounds
from benchmarks.serving_figures import figures

# Java compiles what runs often, beside the workers. With photos of EfficientNet-B0 alone, a request costs it 3.4 ms
# after 6 s, 2.2 after 10 and 1.2 after 20; after 6 s of broken photos, 1,400 a second, and 4 s of whole ones, 1.6. The
# first two seconds of 12 megapixels had 24 requests/s of ResNet-18, later ones 30.
WARM_UP_S = 3
LEADING = 8
"""Connections with which every kind of photos is sent."""
NOT_TIMED = ("headswap-onnx", "stock", "no-op")
"""In open loops and with other photos: two differ by a setting from another, the third looks at no photo."""
KINDS: dict[str, Callable[[Network, Path], Candidate]] = {
    "headswap": lambda network, work: candidates.ours(network.archive, work),
    "headswap-onnx": lambda network, work: candidates.ours(
        network.archive,
        work,
        name="headswap with ONNX Runtime",
        changes={"handler": {"engine": "onnx"}},
    ),
    "headswap-batches": lambda network, work: candidates.ours(
        network.archive, work, name="headswap with batches of 2", changes={"batchSize": 2}
    ),
    "stock": lambda network, work: candidates.stock_torchserve(network.folder, work, tuned=False),
    "stock-tuned": lambda network, work: candidates.stock_torchserve(
        network.folder, work, tuned=True
    ),
    "fastapi": lambda network, work: candidates.fastapi(network.folder),
    "litserve": lambda network, work: candidates.litserve(network.folder),
    "bentoml": lambda network, work: candidates.bentoml(network.folder),
    "ray": lambda network, work: candidates.ray_serve(network.folder),
    "no-op": lambda network, work: candidates.noop_torchserve(work),
    "stock-4": lambda network, work: candidates.stock_torchserve(
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
    rounds: int = 1
    """To measure now; they are added to those measured before under the same conditions."""
    results: Path = PATH


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A contender that runs."""

    candidate: Candidate
    start_s: float

    def told(self) -> dict[str, Any]:
        """Return what does not depend on the load."""
        assert self.candidate.process is not None
        size_bytes = processes.resident_bytes(self.candidate.process)
        return {"start_s": self.start_s, "resident_mb": round(size_bytes / 1e6, 2)}


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
        self.rates_per_s: dict[str, float] = {}
        """Of the open loops, by share: the same in all rounds."""
        self.faults: dict[str, str] = {}
        conditions = asdict(command)
        del conditions["rounds"], conditions["results"]
        self.rounds = Rounds.under(rooms=("handlers",), benchmark="serving", **conditions)

    def run(self) -> None:
        """Measure, and write what was found, together with what was before."""
        with self._started() as runners:
            for _ in range(self.command.rounds):
                self._round(runners)
        for kind in self.listings:
            found = {"seconds": self.command.seconds, **figures(self.rounds.read(), kind)}
            merge(f"serving {self.command.architecture} {kind}", found, self.command.results)
            sys.stdout.write(json.dumps(found, indent=2) + "\n")

    @contextmanager
    def _started(self) -> Iterator[dict[str, Runner]]:
        """Yield the contenders that came up, warmed up."""
        runners: dict[str, Runner] = {}
        with ExitStack() as stack:
            # Not in WORK: TorchServe's sockets lie below, and the path of a socket has at most 107 letters.
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            for name in self.command.only:
                folder = work / name
                folder.mkdir()
                candidate = KINDS[name](self.network, folder)
                stack.callback(candidate.stop)
                with self._noting(name):
                    start_s = candidate.start(self.first, WORK / "logs" / f"{name}.log")
                    self._warm_up(name, candidate)
                    assert candidate.process is not None
                    processes.suspend(candidate.process)
                    runners[name] = Runner(candidate=candidate, start_s=round(start_s, 2))
                    sys.stderr.write(f"{name} answers after {start_s:.1f} s\n")
            yield runners

    def _warm_up(self, name: str, candidate: Candidate) -> None:
        """Bring it up to speed: Java with requests that ask nothing of the network, and with every kind of photos."""
        listings = [self.listings[kind] for kind in self._kinds(name)]
        if candidate.is_java:
            listings.insert(0, photos.make(WORK / "photos", "broken"))
        else:
            del listings[1:]
        for listing in listings:
            load.measure(candidate.asked(), listing, connections=LEADING, seconds=WARM_UP_S)
        candidate.settle(self.first)

    def _kinds(self, name: str) -> list[Kind]:
        """Return the kinds of photos that it is sent."""
        return [kind for kind in self.listings if kind == self.main_kind or name not in NOT_TIMED]

    def _round(self, runners: dict[str, Runner]) -> None:
        """Have every contender take every load once, and keep what they did."""
        before = self.rounds.read()
        # Every other round the other way round: a machine that tires treats all alike.
        names = list(runners)[:: -1 if len(before) % 2 else 1]
        kinds = {}
        for kind, listing in self.listings.items():
            inside = {"photos_per_s": self._ceiling(listing, CORES).photos_per_s}
            if kind == self.main_kind:
                inside["one_photo_ms"] = self._ceiling(listing, 1).median_ms
                self.rates_per_s = (
                    before[0]["kinds"][kind]["open_rates_per_s"]
                    if before
                    else self._rates_per_s(inside["photos_per_s"])
                )
            loads = {}
            for name in names:
                if name not in self.faults and kind in self._kinds(name):
                    candidate = runners[name].candidate
                    with self._noting(name), candidate.turn(self.first):
                        loads[name] = self._turn(name, candidate, kind, seed=len(before))
            kinds[kind] = {
                "in_process": inside,
                "open_rates_per_s": self.rates_per_s if kind == self.main_kind else {},
                "servers": loads,
            }
        told = {name: runner.told() for name, runner in runners.items() if name not in self.faults}
        faults = {name: {"fault": text} for name, text in self.faults.items()}
        self.rounds.add({"servers": told | faults, "kinds": kinds})

    def _turn(self, name: str, candidate: Candidate, kind: Kind, *, seed: int) -> dict[str, Any]:
        listing, is_main = self.listings[kind], kind == self.main_kind
        closed = {}
        for count in self.command.connections if is_main else (LEADING,):
            closed[str(count)] = self._closed(candidate, listing, count)
            candidate.settle(self.first)
        rates_per_s = self.rates_per_s if is_main and name not in NOT_TIMED else {}
        return {
            "closed": closed,
            "open": {
                share: self._open(candidate, listing, rate_per_s, seed=seed)
                for share, rate_per_s in rates_per_s.items()
            },
        }

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        """Note why a contender fell out: one that does must not cost the others their figures."""
        try:
            yield
        except BenchmarkError as error:
            self.faults[name] = str(error)
            sys.stderr.write(f"{name}: {error}\n")

    def _closed(self, candidate: Candidate, listing: Path, count: int) -> dict[str, float]:
        one = load.measure(
            candidate.asked(), listing, connections=count, seconds=self.command.seconds
        )
        sys.stderr.write(
            f"{candidate.name}, {count} connections: {one.requests_per_s:.1f} a second\n"
        )
        return {
            "requests_per_s": one.requests_per_s,
            "p50_ms": one.p50_ms,
            "p99_ms": one.p99_ms,
            "failed": one.bad_status + one.lost,
        }

    def _open(
        self, candidate: Candidate, listing: Path, rate_per_s: float, *, seed: int
    ) -> dict[str, Any]:
        one = load.measure_open(
            candidate.asked(),
            listing,
            rate_per_s=rate_per_s,
            seconds=self.command.seconds,
            seed=seed,
        )
        sys.stderr.write(f"{candidate.name}, {rate_per_s:.1f} a second: p99 {one.p(0.99):.0f} ms\n")
        return {
            "latencies_ms": [round(latency, 2) for latency in one.latencies_ms],
            "failed": one.failed,
        }

    def _rates_per_s(self, photos_per_s: float) -> dict[str, float]:
        """Return the rates of the open loops: shares of what the cores do in process."""
        return {f"{share:.0%}": round(share * photos_per_s, 1) for share in self.command.open_loads}

    def _ceiling(self, listing: Path, count: int) -> ceiling.Ceiling:
        one = ceiling.measure(
            self.network.archive, listing, processes=count, seconds=self.command.seconds
        )
        sys.stderr.write(f"in {count} processes: {one.photos_per_s:.1f} a second\n")
        return one


if __name__ == "__main__":
    sys.exit(main())
