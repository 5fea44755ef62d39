"""gRPC compared with HTTP: the same server, photos and client, in turn.

python -m benchmarks.serving.transports
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import photos
from benchmarks.errors import BenchmarkError
from benchmarks.measurements import WORK, merge, result_file
from benchmarks.networks import prepare
from benchmarks.serving import candidates
from benchmarks.summary import rounded_median
from serving.client import Client, GrpcClient, HttpClient
from serving.loadtest.load import Load
from serving.settings import load_settings

ARCHITECTURE = "resnet18"
WARM_UP_S = 10
ROUNDS = 2
SECONDS = 4
CONNECTIONS = 8


def main() -> int:
    """Return the exit code."""
    network = prepare(ARCHITECTURE, WORK)
    listing = photos.make(WORK / "photos", "366x500")
    bodies = [Path(line).read_bytes() for line in listing.read_text().splitlines()]
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        candidate = candidates.headswap(network.archive, Path(folder))
        try:
            candidate.start(Path(listing.read_text().splitlines()[0]), WORK / "logs" / "grpc.log")
            figures = _measure(candidate.folder, bodies)
        except BenchmarkError as error:
            sys.stderr.write(f"benchmarks: {error}\n")
            return 1
        finally:
            candidate.stop()
    merge("transports", figures, result_file("serving"))
    return 0


def _measure(folder: Path, bodies: list[bytes]) -> dict[str, Any]:
    settings = load_settings(
        config=folder / "config.properties",
        model_store=folder / "model_store",
        state=folder / ".headswap",
    )
    connect: dict[str, Callable[[], Client]] = {
        "http": lambda: HttpClient(settings),
        "grpc": lambda: GrpcClient(settings),
    }
    _load(connect["http"], bodies, WARM_UP_S)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in connect}
    for number in range(ROUNDS):
        for name in list(connect)[:: -1 if number % 2 else 1]:
            rounds[name].append(_load(connect[name], bodies, SECONDS))
    return {
        name: {key: rounded_median([figures[key] for figures in measured]) for key in measured[0]}
        for name, measured in rounds.items()
    }


def _load(connect: Callable[[], Client], bodies: list[bytes], seconds: float) -> dict[str, float]:
    with Load(connect, ARCHITECTURE, bodies, connections=CONNECTIONS) as load:
        time.sleep(seconds)
    result = load.result
    return {
        "requests_per_s": result.requests_per_s,
        "p50_ms": result.percentile_ms(0.5),
        "p99_ms": result.percentile_ms(0.99),
        "failed": result.failed,
    }


if __name__ == "__main__":
    sys.exit(main())
