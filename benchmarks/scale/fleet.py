"""From one measured host to many: what a load balancer is worth, and how many accelerators one frontend can feed.

    python -m benchmarks.scale.fleet

Computes from benchmarks/results/scale.json and measures nothing. All hosts are like the measured one with all its
workers busy. A balancer that does not see load (round robin, DNS) gives each host a queue of its own; one that always
finds a free worker makes one queue of all. Least-connections balancers are in between, near the second.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.scale import host
from benchmarks.scale.queueing import Service, simulate
from serving.loadtest.result import percentile

HOSTS = (1, 2, 4, 8)
LOADS = (0.5, 0.7, 0.8, 0.9)
REQUESTS = 60_000
# Milliseconds of one accelerator per photo, decoding included: from slow to faster than any measured here.
GPU_MS = (4.0, 2.0, 1.0, 0.5, 0.25)
GPU_CORES = 16


def is_wanted(entry: Mapping[str, Any], *, workers: int, batch_size: int) -> bool:
    """Return whether these are the figures of this many workers with one thread each."""
    config = entry["config"]
    return (config["workers"], config["threads"], config["batch_size"]) == (workers, 1, batch_size)


def service_of(entry: Mapping[str, Any], *, hosts: int = 1) -> Service:
    """Return the service of the measured host, or of several such hosts behind one queue."""
    one_host = host.service_of(entry)
    return replace(one_host, slowdowns=one_host.slowdowns[-1:] * (len(one_host.slowdowns) * hosts))


def p99_table(entry: Mapping[str, Any]) -> str:
    """Return p99 by load and number of hosts as Markdown."""
    lines = [
        f"| load | {' | '.join(f'one queue of {n}' if n > 1 else 'a queue each' for n in HOSTS)} |",
        f"|---:|{'---:|' * len(HOSTS)}",
    ]
    for load in LOADS:
        cells = []
        for hosts in HOSTS:
            service = service_of(entry, hosts=hosts)
            rate_per_s = load * service.capacity_per_s
            latencies_ms = simulate(service, rate_per_s=rate_per_s, requests=REQUESTS)
            cells.append(f"{percentile(latencies_ms, 0.99):.0f} ms")
        lines.append(f"| {100 * load:.0f} % | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def frontend_table(entry: Mapping[str, Any]) -> str:
    """Return how many cores the frontend needs for accelerators of several speeds, as Markdown."""
    frontend_ms = entry["cpu_ms_per_photo"]["frontend"]
    lines = [
        f"| GPU time per photo | photos/s of one GPU | cores for the frontend | GPUs that {GPU_CORES} cores can feed |",
        "|---:|---:|---:|---:|",
    ]
    for gpu_ms in GPU_MS:
        per_s = 1e3 / gpu_ms
        cores = per_s * frontend_ms / 1e3
        lines.append(f"| {gpu_ms:g} ms | {per_s:.0f} | {cores:.1f} | {GPU_CORES / cores:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=1)
    arguments = parser.parse_args()
    for entry in json.loads(host.RESULTS.read_text()).values():
        if is_wanted(entry, workers=arguments.workers, batch_size=arguments.batch_size):
            sys.stdout.write(f"{p99_table(entry)}\n{frontend_table(entry)}")
            return
    parser.error("that configuration was not measured; run benchmarks.scale.host first")


if __name__ == "__main__":
    main()
