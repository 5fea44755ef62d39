"""Throughput and latency by workers and batch size, and how well a queueing model predicts p99.

    python -m benchmarks.scale.host model_store/clothing-1.0.mar --photos photos/test --workers 2 --batch-size 4
    python -m benchmarks.scale.host --table                 the results as docs/scale.md shows them

One call measures one configuration, in rounds. Without batches: closed loops with 1 connection to as many as there are
workers (no request waits), with one that pauses, and with more than there are workers (the capacity). With batches:
enough connections to fill every batch, then open loops at 50 and 80 % of that capacity. The model
(benchmarks/scale/queueing.py) is fitted to the closed loops alone. Results go to benchmarks/results/scale.json, which
keeps those of other configurations.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measurements import ROOT, result_file
from benchmarks.scale.queueing import Service, fit_service, replay
from serving.archive.reader import read_archive
from serving.loadtest.load import closed_loop, open_loop, poisson_arrivals_s
from serving.loadtest.result import LoadResult, percentile
from serving.settings import load_settings
from storage.atomic import atomic_write
from tuning.measuring import classifiable, pick_photos
from tuning.serving_config import ServingConfig
from tuning.trial_server import TrialServer

RESULTS = result_file("scale")
LOADS = (0.5, 0.8)
WARM_UP_S, LOADED_WARM_UP_S, CLOSED_S, OPEN_S = 10.0, 2.0, 2.5, 9.0
ROUNDS = 3
DRAWS = 10
PAUSE_S = 0.03
QUANTILES = 400


class Bench:
    """One configuration. Closed loops, to which the model is fitted, and open loops, with which it is compared, take
    turns, so that both see the same host: its speed drifts by a fifth within minutes."""

    def __init__(self, server: TrialServer, photos: Sequence[bytes], config: ServingConfig) -> None:
        self.server, self.photos, self.config = server, photos, config
        self.connections = list(range(1, config.workers + 1))
        self.loaded: ServingConfig | None = None

    def measure(self) -> dict[str, Any]:
        """Return the figures of the configuration."""
        single = self.config.changed({"batch_size": 1})
        self._closed(self.config.workers, WARM_UP_S)
        alone: dict[int, list[LoadResult]] = defaultdict(list)
        rested: list[LoadResult] = []
        singles: list[LoadResult] = []
        full: list[LoadResult] = []
        opened: dict[float, list[LoadResult]] = defaultdict(list)
        cpu_ms: list[dict[str, float]] = []
        for _ in range(ROUNDS):
            self._load(single)
            for count in self.connections:
                alone[count].append(self._closed(count, CLOSED_S))
            rested.append(self._closed(1, CLOSED_S, pause_s=PAUSE_S))
            singles.append(self._closed(max(2 * self.config.workers, 4), CLOSED_S))
            self._load(self.config)
            cpu_before = self._cpu_s()
            filling = 2 * self.config.workers * self.config.batch_size
            full.append(self._closed(max(filling, 4), CLOSED_S))
            cpu_ms.append(self._cpu_ms(cpu_before, len(full[-1].latencies_ms)))
            for load in LOADS:
                rate_per_s = round(load * full[0].requests_per_s, 2)
                opened[load].append(self._open(rate_per_s, seed=len(opened[load])))
        alone_ms = [_latencies_ms(alone[count]) for count in self.connections]
        capacity_per_s = statistics.median(result.requests_per_s for result in full)
        service = fit_service(
            alone_ms,
            rested_ms=_latencies_ms(rested),
            single_capacity_per_s=statistics.median(result.requests_per_s for result in singles),
            capacity_per_s=capacity_per_s,
            batch_size=self.config.batch_size,
            delay_ms=self.config.max_delay_ms,
        )
        quantiles = ((rank + 0.5) / QUANTILES for rank in range(QUANTILES))
        return {
            "config": self.config.to_dict(),
            "alone_p50_ms": round(percentile(alone_ms[0], 0.5), 2),
            "photo_ms": [round(percentile(service.photo_ms, share), 2) for share in quantiles],
            "overhead_ms": round(service.overhead_ms, 2),
            "rest_slowdown": round(service.rest_slowdown, 3),
            "slowdowns": [round(slowdown, 3) for slowdown in service.slowdowns],
            "further_share": round(service.further_share, 3),
            "capacity_per_s": round(capacity_per_s, 1),
            "capacity_model_per_s": round(service.capacity_per_s, 1),
            "full_p99_ms": round(percentile(_latencies_ms(full), 0.99), 1),
            "memory_mb": round(self.server.memory_mb()),
            "cpu_ms_per_photo": {
                name: round(statistics.median(spent_ms[name] for spent_ms in cpu_ms), 2)
                for name in cpu_ms[0]
            },
            "open": [
                _open_figures(load, round(load * full[0].requests_per_s, 2), opened[load])
                for load in LOADS
            ],
        }

    def _load(self, config: ServingConfig) -> None:
        """Have the configuration served; new workers need a moment to reach full speed."""
        if config != self.loaded:
            self.server.load(config)
            self._closed(self.config.workers, LOADED_WARM_UP_S)
            self.loaded = config

    def _closed(self, connections: int, seconds: float, *, pause_s: float = 0.0) -> LoadResult:
        return closed_loop(
            self.server.target(), self.photos,
            connections=connections, seconds=seconds, pause_s=pause_s,
        )  # fmt: skip

    def _open(self, rate_per_s: float, *, seed: int) -> LoadResult:
        return open_loop(
            self.server.target(), self.photos, rate_per_s=rate_per_s, seconds=OPEN_S, seed=seed
        )

    def _cpu_s(self) -> dict[str, float]:
        java = psutil.Process(self.server.pid)
        workers = java.children(recursive=True)
        return {
            "frontend": sum(java.cpu_times()[:2]),
            "workers": sum(sum(worker.cpu_times()[:2]) for worker in workers),
            "client": sum(psutil.Process().cpu_times()[:2]),
        }

    def _cpu_ms(self, before: Mapping[str, float], photos: float) -> dict[str, float]:
        after = self._cpu_s()
        return {name: 1e3 * (after[name] - before[name]) / photos for name in after}


def service_of(entry: Mapping[str, Any]) -> Service:
    """Return the service that was fitted to these figures."""
    return Service(
        photo_ms=tuple(entry["photo_ms"]),
        overhead_ms=entry["overhead_ms"],
        rest_slowdown=entry["rest_slowdown"],
        delay_ms=entry["config"]["max_delay_ms"],
        further_share=entry["further_share"],
        slowdowns=tuple(entry["slowdowns"]),
        batch_size=entry["config"]["batch_size"],
    )


def add_predictions(entry: dict[str, Any]) -> None:
    """Add the model's percentiles to each open loop: for the same arrivals, over several draws of service times.

    The same arrivals, because at 80 % load the p99 of half a minute depends on them more than on anything else.
    """
    service = service_of(entry)
    for loop in entry["open"]:
        rounds = [
            [
                latency
                for draw in range(DRAWS)
                for latency in replay(service, _due_ms(loop, seed), seed=draw)
            ]
            for seed in range(len(loop["p99_rounds_ms"]))
        ]
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            model_ms = statistics.median(percentile(latencies_ms, share) for latencies_ms in rounds)
            loop[f"{name}_model_ms"] = round(model_ms, 1)
            loop[f"{name}_error"] = round(model_ms / loop[f"{name}_ms"] - 1, 3)


def table(results: Mapping[str, Any]) -> str:
    """Return the figures as two Markdown tables."""
    ordered = sorted(results.values(), key=lambda entry: tuple(entry["config"].values())[:3])
    lines = [
        "| workers | threads | batch | alone p50 ms | after a rest | slower together | further photo | photos/s | "
        "p99 ms full | MB | CPU ms per photo: frontend, workers |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for entry in ordered:
        config, cpu = entry["config"], entry["cpu_ms_per_photo"]
        ratios = (entry["rest_slowdown"], entry["slowdowns"][-1], entry["further_share"])
        row = [
            *(config[name] for name in ("workers", "threads", "batch_size")),
            f"{entry['alone_p50_ms']:.1f}",
            *(f"{ratio:.2f}" for ratio in ratios),
            f"{entry['capacity_per_s']:.1f}",
            f"{entry['full_p99_ms']:.0f}",
            entry["memory_mb"],
            f"{cpu['frontend']:.1f}, {cpu['workers']:.1f}",
        ]
        lines.append(f"| {' | '.join(map(str, row))} |")
    lines += ["", "| workers | threads | batch | load | requests | p50 ms | model | p99 ms | model | error |",
              "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for entry in ordered:
        config = entry["config"]
        for loop in entry["open"]:
            lines.append(
                f"| {config['workers']} | {config['threads']} | {config['batch_size']} | {loop['load']:.0%} | "
                f"{loop['requests']} | {loop['p50_ms']:.0f} | {loop['p50_model_ms']:.0f} | {loop['p99_ms']:.0f} | "
                f"{loop['p99_model_ms']:.0f} | {loop['p99_error']:+.0%} |"
            )
    return "\n".join(lines).replace("%", " %") + "\n"


def _latencies_ms(results: Sequence[LoadResult]) -> list[float]:
    return [latency for result in results for latency in result.latencies_ms]


def _open_figures(load: float, rate_per_s: float, results: Sequence[LoadResult]) -> dict[str, Any]:
    p99_ms = [result.percentile_ms(0.99) for result in results]
    return {
        "load": load,
        "rate_per_s": rate_per_s,
        "seconds": OPEN_S,
        "requests": len(_latencies_ms(results)),
        "failed": sum(result.failed for result in results),
        # Medians over rounds, so that one moment in which the host did not run does not decide.
        "p50_ms": round(statistics.median(result.percentile_ms(0.5) for result in results), 1),
        "p99_ms": round(statistics.median(p99_ms), 1),
        "p99_rounds_ms": [round(round_ms, 1) for round_ms in p99_ms],
    }


def _due_ms(loop: Mapping[str, Any], seed: int) -> list[float]:
    arrivals_s = poisson_arrivals_s(loop["rate_per_s"], loop["seconds"], seed)
    return [1e3 * due_s for due_s in arrivals_s]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, nargs="?")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--engine", default="onnx")
    parser.add_argument("--table", action="store_true", help="print the results as Markdown")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.table:
        sys.stdout.write(table(results))
        return
    if arguments.archive is None or arguments.photos is None:
        parser.error("an archive and --photos are required to measure")
    config = ServingConfig(
        workers=arguments.workers, threads=arguments.threads, batch_size=arguments.batch_size,
        max_delay_ms=1, engine=arguments.engine,
    )  # fmt: skip
    settings = load_settings(
        config=ROOT / "config.properties", model_store=Path("unused"), state=Path("unused")
    )
    photos = pick_photos([path.read_bytes() for path in sorted(arguments.photos.rglob("*.jpg"))])
    with TrialServer(read_archive(arguments.archive), settings) as server:
        server.load(config)
        entry = Bench(server, classifiable(server, photos), config).measure()
    add_predictions(entry)
    results[str(config)] = entry
    atomic_write(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
