"""Requests per second of headswap and its peers in turn: the same weights, photos, cores and load generators.

    python -m benchmarks.serving.speed --architecture resnet18
    python -m benchmarks.serving.speed --architecture resnet18 --photos 12mp --only headswap stock-tuned

Every candidate is started once and suspended (SIGSTOP) between its turns. In each round all of them take every load in
turn. Closed loops: each connection sends its next request once the last is answered. Open loops: requests come at
random, at the same rate for all candidates. Rounds add up (benchmarks/rounds.py), and a figure is the median over all
of them. Results go to benchmarks/results/serving.json, one key per architecture and kind of photos;
`python -m benchmarks.serving.tables` writes them into docs/benchmarks.md.
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

from benchmarks import photos
from benchmarks.errors import BenchmarkError
from benchmarks.measurements import WORK, merge, result_file
from benchmarks.networks import Network, prepare
from benchmarks.photos import Kind
from benchmarks.rounds import Rounds
from benchmarks.serving import candidates, ceiling, processes, wrk
from benchmarks.serving.candidates import CORES, Candidate
from benchmarks.serving.figures import figures
from serving.loadtest.load import open_loop

# Java compiles what runs often, beside the workers. With photos of EfficientNet-B0 alone, a request costs it 3.4 ms
# after 6 s, 2.2 after 10 and 1.2 after 20; after 6 s of broken photos, 1,400 a second, and 4 s of whole ones, 1.6. The
# first two seconds of 12 megapixels had 24 requests/s of ResNet-18, later ones 30.
WARM_UP_S = 3
LEADING = 8
"""Connections with which every kind of photos is sent."""
CLOSED_LOOPS_ONLY = ("headswap-onnx", "stock", "no-op")
"""Without open loops and other photos: two differ from another by one setting, the third does not look at photos."""
CANDIDATES: dict[str, Callable[[Network, Path], Candidate]] = {
    "headswap": lambda network, work: candidates.headswap(network.archive, work),
    "headswap-onnx": lambda network, work: candidates.headswap(
        network.archive,
        work,
        name="headswap with ONNX Runtime",
        changes={"handler": {"engine": "onnx"}},
    ),
    "headswap-batches": lambda network, work: candidates.headswap(
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
    "headswap-ray": lambda network, work: candidates.headswap_ray(network.archive, work),
    "no-op": lambda network, work: candidates.noop_torchserve(work),
    "stock-4": lambda network, work: candidates.stock_torchserve(
        network.folder, work, tuned=True, workers=4
    ),
}
ON_REQUEST = ("headswap-batches", "stock-4", "headswap-ray")
"""Measured only when --only names them."""


@dataclass(frozen=True, kw_only=True)
class Command:
    architecture: str = "resnet18"
    photos: tuple[Kind, ...] = ("366x500",)
    """The first kind is sent under every load, the others with 8 connections alone."""
    only: tuple[str, ...] = tuple(name for name in CANDIDATES if name not in ON_REQUEST)
    """Candidates to measure; the in-process ceiling is always measured."""
    connections: tuple[int, ...] = (LEADING,)
    """Numbers of connections of the closed loops."""
    open_loads: tuple[float, ...] = ()
    """Rates of the open loops, as shares of the in-process ceiling."""
    seconds: int = 5
    """Duration of one measurement."""
    rounds: int = 1
    """Rounds to measure now; they add to earlier ones under the same conditions."""
    results: Path = result_file("serving")


@dataclass(frozen=True, kw_only=True)
class Running:
    """A candidate that is running."""

    candidate: Candidate
    start_s: float

    def figures(self) -> dict[str, Any]:
        """Return the figures that do not depend on the load."""
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
        self.first_photo = Path(self.listings[self.main_kind].read_text().splitlines()[0])
        self.rates_per_s: dict[str, float] = {}
        """Rates of the open loops, by share of the ceiling: the same in all rounds."""
        self.faults: dict[str, str] = {}
        """Why a candidate was excluded, by its name."""
        conditions = asdict(command)
        del conditions["rounds"], conditions["results"]
        self.rounds = Rounds.under(
            packages=("handlers", "cluster"), benchmark="serving", **conditions
        )

    def run(self) -> None:
        """Measure the rounds and write the figures of all rounds so far."""
        with self._started() as running:
            for _ in range(self.command.rounds):
                self._round(running)
        for kind in self.listings:
            entry = {"seconds": self.command.seconds, **figures(self.rounds.read(), kind)}
            merge(f"serving {self.command.architecture} {kind}", entry, self.command.results)
            sys.stdout.write(json.dumps(entry, indent=2) + "\n")

    @contextmanager
    def _started(self) -> Iterator[dict[str, Running]]:
        """Yield the candidates that started, warmed up."""
        running: dict[str, Running] = {}
        with ExitStack() as stack:
            # Not in WORK: TorchServe's sockets are inside, and the path of a socket has at most 107 characters.
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            for name in self.command.only:
                folder = work / name
                folder.mkdir()
                candidate = CANDIDATES[name](self.network, folder)
                stack.callback(candidate.stop)
                with self._excluding_on_error(name):
                    start_s = candidate.start(self.first_photo, WORK / "logs" / f"{name}.log")
                    self._warm_up(name, candidate)
                    assert candidate.process is not None
                    processes.suspend(candidate.process)
                    running[name] = Running(candidate=candidate, start_s=round(start_s, 2))
                    sys.stderr.write(f"{name} answers after {start_s:.1f} s\n")
            yield running

    def _warm_up(self, name: str, candidate: Candidate) -> None:
        """Send Java requests that cost the network nothing, then every kind of photos."""
        listings = [self.listings[kind] for kind in self._kinds(name)]
        if candidate.is_java:
            listings.insert(0, photos.make(WORK / "photos", "broken"))
        else:
            del listings[1:]
        for listing in listings:
            target = candidate.target_now()
            wrk.closed_loop(target, listing, connections=LEADING, seconds=WARM_UP_S)
        candidate.wait_until_idle(self.first_photo)

    def _kinds(self, name: str) -> list[Kind]:
        """Return the kinds of photos that the candidate is sent."""
        return [
            kind
            for kind in self.listings
            if kind == self.main_kind or name not in CLOSED_LOOPS_ONLY
        ]

    def _round(self, running: dict[str, Running]) -> None:
        """Put every candidate under every load once, and keep the figures."""
        earlier = self.rounds.read()
        # The order is reversed in every other round, so that a machine that slows down treats all alike.
        names = list(running)[:: -1 if len(earlier) % 2 else 1]
        kinds = {}
        for kind, listing in self.listings.items():
            in_process = {"photos_per_s": self._ceiling(listing, CORES).photos_per_s}
            if kind == self.main_kind:
                in_process["one_photo_ms"] = self._ceiling(listing, 1).median_ms
                self.rates_per_s = (
                    earlier[0]["kinds"][kind]["open_rates_per_s"]
                    if earlier
                    else self._rates_per_s(in_process["photos_per_s"])
                )
            loads = {}
            for name in names:
                if name not in self.faults and kind in self._kinds(name):
                    candidate = running[name].candidate
                    with self._excluding_on_error(name), candidate.turn(self.first_photo):
                        loads[name] = self._turn(name, candidate, kind, seed=len(earlier))
            kinds[kind] = {
                "in_process": in_process,
                "open_rates_per_s": self.rates_per_s if kind == self.main_kind else {},
                "servers": loads,
            }
        servers = {
            name: server.figures() for name, server in running.items() if name not in self.faults
        }
        faults = {name: {"fault": text} for name, text in self.faults.items()}
        self.rounds.add({"servers": servers | faults, "kinds": kinds})

    def _turn(self, name: str, candidate: Candidate, kind: Kind, *, seed: int) -> dict[str, Any]:
        listing, is_main = self.listings[kind], kind == self.main_kind
        closed = {}
        for count in self.command.connections if is_main else (LEADING,):
            closed[str(count)] = self._closed(candidate, listing, count)
            candidate.wait_until_idle(self.first_photo)
        rates_per_s = self.rates_per_s if is_main and name not in CLOSED_LOOPS_ONLY else {}
        return {
            "closed": closed,
            "open": {
                share: self._open(candidate, listing, rate_per_s, seed=seed)
                for share, rate_per_s in rates_per_s.items()
            },
        }

    @contextmanager
    def _excluding_on_error(self, name: str) -> Iterator[None]:
        """Exclude a candidate that fails, and note why: the others must not lose their figures."""
        try:
            yield
        except BenchmarkError as error:
            self.faults[name] = str(error)
            sys.stderr.write(f"{name}: {error}\n")

    def _closed(self, candidate: Candidate, listing: Path, count: int) -> dict[str, float]:
        result = wrk.closed_loop(
            candidate.target_now(), listing, connections=count, seconds=self.command.seconds
        )
        sys.stderr.write(
            f"{candidate.name}, {count} connections: {result.requests_per_s:.1f} requests/s\n"
        )
        return asdict(result)

    def _open(
        self, candidate: Candidate, listing: Path, rate_per_s: float, *, seed: int
    ) -> dict[str, Any]:
        bodies = [Path(line).read_bytes() for line in listing.read_text().splitlines()]
        result = open_loop(
            candidate.target_now(),
            bodies,
            rate_per_s=rate_per_s,
            seconds=self.command.seconds,
            seed=seed,
        )
        p99_ms = result.percentile_ms(0.99)
        sys.stderr.write(f"{candidate.name}, {rate_per_s:.1f} requests/s: p99 {p99_ms:.0f} ms\n")
        return {
            "latencies_ms": [round(latency, 2) for latency in result.latencies_ms],
            "failed": result.failed,
        }

    def _rates_per_s(self, photos_per_s: float) -> dict[str, float]:
        """Return the rates of the open loops: shares of the in-process ceiling."""
        return {f"{share:.0%}": round(share * photos_per_s, 1) for share in self.command.open_loads}

    def _ceiling(self, listing: Path, count: int) -> ceiling.Ceiling:
        result = ceiling.measure(
            self.network.archive, listing, processes=count, seconds=self.command.seconds
        )
        sys.stderr.write(f"in {count} processes: {result.photos_per_s:.1f} photos/s\n")
        return result


if __name__ == "__main__":
    sys.exit(main())
