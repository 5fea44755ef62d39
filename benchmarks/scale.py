"""What workers and batches do to throughput and latency here, and whether the queue's model foretells p99 from it.

    python -m benchmarks.scale model_store/clothing-1.0.mar --photos photos/test --workers 2 --batch-size 4
    python -m benchmarks.scale --table                      what was measured, as docs/scale.md shows it

One call measures one setting, in rounds: without batches, closed loop with 1 to so many connections as there are
workers (nobody waits), with one that pauses, and with more (the capacity); then as the setting is, with enough
connections to fill every batch, and open loop at 50 and 80 % of that capacity. The model (tuning/queueing.py) sees only
the closed loops. Results go to benchmarks/scale.json, which keeps the other settings'.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from serving.archive.reader import read_archive
from serving.rollout.gates import percentile
from serving.settings import load_settings
from tuning.load import LoadResult, closed_loop, open_loop, poisson_arrivals_s
from tuning.measuring import only_good, pick_photos
from tuning.queueing import Service, fit_service, replay
from tuning.result import write_beside
from tuning.serving_config import ServingConfig
from tuning.trial_server import TrialServer

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("scale.json")
LOADS = (0.5, 0.8)
WARM_UP_S, LOADED_WARM_UP_S, CLOSED_S, OPEN_S = 10.0, 2.0, 2.5, 9.0
ROUNDS = 3
DRAWS = 10
PAUSE_S = 0.03
QUANTILES = 400


class Bench:
    """One setting. What the model is fitted to and what it is held against take turns, so that both see the same host:
    its speed drifts by a fifth within minutes."""

    def __init__(
        self, server: TrialServer, photos: Sequence[bytes], setting: ServingConfig
    ) -> None:
        self.server, self.photos, self.setting = server, photos, setting
        self.connections = list(range(1, setting.workers + 1))
        self.loaded: ServingConfig | None = None

    def measure(self) -> dict[str, Any]:
        """Return the figures of the setting."""
        single = self.setting.changed({"batch_size": 1})
        self._closed(self.setting.workers, WARM_UP_S)
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
            singles.append(self._closed(max(2 * self.setting.workers, 4), CLOSED_S))
            self._load(self.setting)
            cpu_before = self._cpu_s()
            filling = 2 * self.setting.workers * self.setting.batch_size
            full.append(self._closed(max(filling, 4), CLOSED_S))
            cpu_ms.append(self._cpu_ms(cpu_before, full[-1].per_s * CLOSED_S))
            for load in LOADS:
                opened[load].append(
                    self._open(round(load * full[0].per_s, 2), seed=len(opened[load]))
                )
        alone_ms = [_latencies_ms(alone[count]) for count in self.connections]
        capacity_per_s = statistics.median(one.per_s for one in full)
        service = fit_service(
            alone_ms,
            rested_ms=_latencies_ms(rested),
            single_capacity_per_s=statistics.median(one.per_s for one in singles),
            capacity_per_s=capacity_per_s,
            batch_size=self.setting.batch_size,
            delay_ms=self.setting.max_delay_ms,
        )
        quantiles = ((rank + 0.5) / QUANTILES for rank in range(QUANTILES))
        return {
            "setting": self.setting.to_dict(),
            "alone_p50_ms": round(percentile(alone_ms[0], 0.5), 2),
            "photo_ms": [round(percentile(service.photo_ms, share), 2) for share in quantiles],
            "overhead_ms": round(service.overhead_ms, 2),
            "rest_slowdown": round(service.rest_slowdown, 3),
            "slowdowns": [round(one, 3) for one in service.slowdowns],
            "further_share": round(service.further_share, 3),
            "capacity_per_s": round(capacity_per_s, 1),
            "capacity_model_per_s": round(service.capacity_per_s, 1),
            "full_p99_ms": round(percentile(_latencies_ms(full), 0.99), 1),
            "memory_mb": round(self.server.memory_mb()),
            "cpu_ms_per_photo": {
                name: round(statistics.median(one[name] for one in cpu_ms), 2) for name in cpu_ms[0]
            },
            "open": [_told(load, round(load * full[0].per_s, 2), opened[load]) for load in LOADS],
        }

    def _load(self, setting: ServingConfig) -> None:
        """Have it served; new workers need a moment to come up to speed."""
        if setting != self.loaded:
            self.server.load(setting)
            self._closed(self.setting.workers, LOADED_WARM_UP_S)
            self.loaded = setting

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
        return {
            "frontend": sum(java.cpu_times()[:2]),
            "workers": sum(sum(one.cpu_times()[:2]) for one in java.children(recursive=True)),
            "client": sum(psutil.Process().cpu_times()[:2]),
        }

    def _cpu_ms(self, before: dict[str, float], photos: float) -> dict[str, float]:
        after = self._cpu_s()
        return {name: 1e3 * (after[name] - before[name]) / photos for name in after}


def service_of(told: dict[str, Any]) -> Service:
    """Return the service that was fitted to these figures."""
    return Service(
        photo_ms=tuple(told["photo_ms"]),
        overhead_ms=told["overhead_ms"],
        rest_slowdown=told["rest_slowdown"],
        delay_ms=told["setting"]["max_delay_ms"],
        further_share=told["further_share"],
        slowdowns=tuple(told["slowdowns"]),
        batch_size=told["setting"]["batch_size"],
    )


def _latencies_ms(found: Sequence[LoadResult]) -> list[float]:
    return [latency for one in found for latency in one.latencies_ms]


def _told(load: float, rate_per_s: float, found: Sequence[LoadResult]) -> dict[str, Any]:
    return {
        "load": load,
        "rate_per_s": rate_per_s,
        "seconds": OPEN_S,
        "requests": len(_latencies_ms(found)),
        "failed": sum(one.failed for one in found),
        # Of the rounds, so that one moment in which the host stood still does not decide.
        "p50_ms": round(statistics.median(one.p(0.5) for one in found), 1),
        "p99_ms": round(statistics.median(one.p(0.99) for one in found), 1),
        "p99_rounds_ms": [round(one.p(0.99), 1) for one in found],
    }


def foretell(told: dict[str, Any]) -> None:
    """Add to each open loop what the model says of it: of each round's very arrivals, over several draws of services.

    The same arrivals, because at 80 % load p99 of half a minute depends on them more than on anything else.
    """
    service = service_of(told)
    for one in told["open"]:
        rounds = [
            [
                latency
                for draw in range(DRAWS)
                for latency in replay(service, _due_ms(one, seed), seed=draw)
            ]
            for seed in range(len(one["p99_rounds_ms"]))
        ]
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            model_ms = statistics.median(percentile(latencies_ms, share) for latencies_ms in rounds)
            one[f"{name}_model_ms"] = round(model_ms, 1)
            one[f"{name}_error"] = round(model_ms / one[f"{name}_ms"] - 1, 3)


def _due_ms(one: dict[str, Any], seed: int) -> list[float]:
    return [1e3 * due_s for due_s in poisson_arrivals_s(one["rate_per_s"], one["seconds"], seed)]


def table(results: dict[str, Any]) -> str:
    """Return the figures as two Markdown tables."""
    ordered = sorted(results.values(), key=lambda one: tuple(one["setting"].values())[:3])
    lines = [
        "| workers | threads | batch | alone p50 ms | after a rest | slower together | further photo | photos/s | "
        "p99 ms full | MB | CPU ms a photo: frontend, workers |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for one in ordered:
        setting, cpu = one["setting"], one["cpu_ms_per_photo"]
        row = [
            *(setting[name] for name in ("workers", "threads", "batch_size")),
            f"{one['alone_p50_ms']:.1f}",
            *(
                f"{share:.2f}"
                for share in (one["rest_slowdown"], one["slowdowns"][-1], one["further_share"])
            ),
            f"{one['capacity_per_s']:.1f}",
            f"{one['full_p99_ms']:.0f}",
            one["memory_mb"],
            f"{cpu['frontend']:.1f}, {cpu['workers']:.1f}",
        ]
        lines.append(f"| {' | '.join(map(str, row))} |")
    lines += ["", "| workers | threads | batch | load | requests | p50 ms | model | p99 ms | model | error |",
              "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for one in ordered:
        setting = one["setting"]
        for told in one["open"]:
            lines.append(
                f"| {setting['workers']} | {setting['threads']} | {setting['batch_size']} | {told['load']:.0%} | "
                f"{told['requests']} | {told['p50_ms']:.0f} | {told['p50_model_ms']:.0f} | {told['p99_ms']:.0f} | "
                f"{told['p99_model_ms']:.0f} | {told['p99_error']:+.0%} |"
            )
    return "\n".join(lines).replace("%", " %") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, nargs="?")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--engine", default="onnx")
    parser.add_argument("--table", action="store_true", help="print what was measured as Markdown")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.table:
        sys.stdout.write(table(results))
        return
    if arguments.archive is None or arguments.photos is None:
        parser.error("an archive and --photos are needed to measure")
    setting = ServingConfig(
        workers=arguments.workers, threads=arguments.threads, batch_size=arguments.batch_size,
        max_delay_ms=1, engine=arguments.engine,
    )  # fmt: skip
    settings = load_settings(
        config=ROOT / "config.properties", model_store=Path("unused"), state=Path("unused")
    )
    photos = pick_photos([path.read_bytes() for path in sorted(arguments.photos.rglob("*.jpg"))])
    with TrialServer(read_archive(arguments.archive), settings) as server:
        server.load(setting)
        told = Bench(server, only_good(server, photos), setting).measure()
    foretell(told)
    results[str(setting)] = told
    write_beside(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
