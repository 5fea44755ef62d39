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
from tuning.load import Seen, closed_loop, open_loop, poisson_arrivals_s
from tuning.measuring import only_good, pick_photos
from tuning.queueing import Service, fit_service, replay
from tuning.setting import Setting
from tuning.trial import TrialServer
from tuning.tuned import write_beside

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("scale.json")
LOADS = (0.5, 0.8)
WARM_UP_S, CLOSED_S, OPEN_S, OPEN_ROUNDS = 12.0, 7.0, 15.0, 2
DRAWS = 10
QUANTILES = 400


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
            "open": [self._open(load, round(load * full.per_s, 2)) for load in LOADS],
        }

    def _closed(self, connections: int, seconds: float) -> Seen:
        return closed_loop(
            self.server.target(), self.photos, connections=connections, seconds=seconds
        )

    def _open(self, load: float, rate_per_s: float) -> dict[str, Any]:
        rounds = [
            open_loop(
                self.server.target(), self.photos, rate_per_s=rate_per_s, seconds=OPEN_S, seed=seed
            )
            for seed in range(OPEN_ROUNDS)
        ]
        latencies_ms = [latency for one in rounds for latency in one.latencies_ms]
        return {
            "load": load,
            "rate_per_s": rate_per_s,
            "seconds": OPEN_S,
            "requests": len(latencies_ms),
            "failed": sum(one.failed for one in rounds),
            "p50_ms": round(percentile(latencies_ms, 0.5), 1),
            "p99_ms": round(percentile(latencies_ms, 0.99), 1),
            "p99_rounds_ms": [round(one.p(0.99), 1) for one in rounds],
        }

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


def foretell(told: dict[str, Any]) -> None:
    """Add to each open loop what the model says of it: of those very arrivals, averaged over what services draw.

    The same arrivals, because at 80 % load p99 of half a minute depends on them more than on anything else.
    """
    service = Service(
        alone_ms=tuple(told["alone_ms"]),
        further_share=told["further_share"],
        slowdowns=tuple(told["slowdowns"]),
        batch_size=told["setting"]["batch_size"],
    )
    for one in told["open"]:
        foretold_ms = [
            latency
            for seed in range(len(one["p99_rounds_ms"]))
            for draw in range(DRAWS)
            for latency in replay(service, _due_ms(one, seed), seed=draw)
        ]
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            model_ms = percentile(foretold_ms, share)
            one[f"{name}_model_ms"] = round(model_ms, 1)
            one[f"{name}_error"] = round(model_ms / one[f"{name}_ms"] - 1, 3)


def _due_ms(one: dict[str, Any], seed: int) -> list[float]:
    return [1e3 * due_s for due_s in poisson_arrivals_s(one["rate_per_s"], one["seconds"], seed)]


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
        told = Bench(server, only_good(server, photos), setting).measure()
    foretell(told)
    results[str(setting)] = told
    write_beside(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
