"""What workers and batches do to throughput and latency here, and whether the queue's model foretells p99 from it.

    python -m benchmarks.scale model_store/clothing-1.0.mar --photos photos/test --workers 2 --batch-size 4
    python -m benchmarks.scale --table                      what was measured, as docs/scale.md shows it

One call measures one setting: closed loop with 1 to so many connections as there are workers (nobody waits), then with
enough of them to fill every batch (the capacity), then open loop at 50 and 80 % of that capacity. The model
(tuning/queueing.py) sees only the closed loops. Results go to benchmarks/scale.json, which keeps the other settings'.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from serving.archive import read_archive
from serving.gates import percentile
from serving.settings import load_settings
from tuning.load import Seen, closed_loop, open_loop
from tuning.measuring import only_good, pick_photos
from tuning.queueing import Service, fit_service, simulate
from tuning.setting import Setting
from tuning.trial import TrialServer
from tuning.tuned import write_beside

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("scale.json")
LOADS = (0.5, 0.8)
WARM_UP_S, CLOSED_S, OPEN_S, OPEN_ROUNDS = 4.0, 8.0, 15.0, 3
SIMULATED_REQUESTS = 60_000
QUANTILES = 100


class Bench:
    def __init__(self, server: TrialServer, photos: Sequence[bytes], setting: Setting) -> None:
        self.server, self.photos, self.setting = server, photos, setting

    def measure(self) -> dict[str, Any]:
        """Return the figures of the setting."""
        self._closed(self.setting.workers, WARM_UP_S)
        alone, *others = (
            self._closed(count, CLOSED_S) for count in range(1, self.setting.workers + 1)
        )
        means_ms = [statistics.fmean(one.latencies_ms) for one in (alone, *others)]
        filling = 2 * self.setting.workers * self.setting.batch_size
        cpu_before = self._cpu_s()
        full = self._closed(max(filling, 4), CLOSED_S)
        service = fit_service(
            alone.latencies_ms,
            means_ms,
            capacity_per_s=full.per_s,
            batch_size=self.setting.batch_size,
        )
        return {
            "setting": self.setting.to_dict(),
            "alone_p50_ms": round(alone.p(0.5), 2),
            "alone_ms": [round(alone.p((rank + 0.5) / QUANTILES), 2) for rank in range(QUANTILES)],
            "slowdowns": [round(one, 3) for one in service.slowdowns],
            "further_share": round(service.further_share, 3),
            "capacity_per_s": round(full.per_s, 1),
            "capacity_model_per_s": round(service.capacity_per_s, 1),
            "full_p99_ms": round(full.p(0.99), 1),
            "memory_mb": round(self.server.memory_mb()),
            "cpu_ms_per_photo": self._cpu_ms(cpu_before, full.per_s * CLOSED_S),
            "open": [self._open(service, load, full.per_s) for load in LOADS],
        }

    def _closed(self, connections: int, seconds: float) -> Seen:
        return closed_loop(
            self.server.target(), self.photos, connections=connections, seconds=seconds
        )

    def _open(self, service: Service, load: float, capacity_per_s: float) -> dict[str, Any]:
        rate_per_s = load * capacity_per_s
        rounds = [
            open_loop(
                self.server.target(), self.photos, rate_per_s=rate_per_s, seconds=OPEN_S, seed=seed
            )
            for seed in range(OPEN_ROUNDS)
        ]
        latencies_ms = [latency for one in rounds for latency in one.latencies_ms]
        foretold_ms = simulate(service, rate_per_s=rate_per_s, requests=SIMULATED_REQUESTS)
        told: dict[str, Any] = {"load": load, "rate_per_s": round(rate_per_s, 1), "requests": len(latencies_ms),
                                "failed": sum(one.failed for one in rounds)}  # fmt: skip
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            measured, foretold = percentile(latencies_ms, share), percentile(foretold_ms, share)
            told |= {
                f"{name}_ms": round(measured, 1),
                f"{name}_model_ms": round(foretold, 1),
                f"{name}_error": round(foretold / measured - 1, 3),
            }
        told["p99_rounds_ms"] = [round(one.p(0.99), 1) for one in rounds]
        sys.stderr.write(
            f"{load:.0%}: p99 {told['p99_ms']} ms, foretold {told['p99_model_ms']} ms\n"
        )
        return told

    def _cpu_s(self) -> dict[str, float]:
        java = psutil.Process(self.server.pid)
        return {
            "frontend": sum(java.cpu_times()[:2]),
            "workers": sum(sum(one.cpu_times()[:2]) for one in java.children(recursive=True)),
            "client": sum(psutil.Process().cpu_times()[:2]),
        }

    def _cpu_ms(self, before: dict[str, float], photos: float) -> dict[str, float]:
        after = self._cpu_s()
        return {name: round(1e3 * (after[name] - before[name]) / photos, 2) for name in after}


def table(results: dict[str, Any]) -> str:
    """Return the figures as two Markdown tables."""
    ordered = sorted(results.values(), key=lambda one: tuple(one["setting"].values())[:3])
    lines = [
        "| workers | threads | batch | alone p50 ms | slower together | further photo | photos/s | p99 ms full | MB | "
        "CPU ms a photo: frontend, workers |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for one in ordered:
        setting, cpu = one["setting"], one["cpu_ms_per_photo"]
        lines.append(
            f"| {setting['workers']} | {setting['threads']} | {setting['batch_size']} | {one['alone_p50_ms']:.1f} | "
            f"{one['slowdowns'][-1]:.2f} | {one['further_share']:.2f} | {one['capacity_per_s']:.1f} | "
            f"{one['full_p99_ms']:.0f} | {one['memory_mb']} | {cpu['frontend']:.1f}, {cpu['workers']:.1f} |"
        )
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
    setting = Setting(
        workers=arguments.workers, threads=arguments.threads, batch_size=arguments.batch_size,
        max_delay_ms=1, engine=arguments.engine,
    )  # fmt: skip
    settings = load_settings(
        config=ROOT / "config.properties", model_store=Path("unused"), state=Path("unused")
    )
    photos = pick_photos([path.read_bytes() for path in sorted(arguments.photos.rglob("*.jpg"))])
    with TrialServer(read_archive(arguments.archive), settings) as server:
        server.load(setting)
        results[str(setting)] = Bench(server, only_good(server, photos), setting).measure()
    write_beside(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
