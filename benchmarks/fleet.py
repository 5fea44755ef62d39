"""From one measured host to many: what a balancer before them is worth, and how far one frontend carries.

    python -m benchmarks.fleet

Reads benchmarks/scale.json and computes, measures nothing. Hosts are as the measured one with all its workers busy. A
balancer that knows nothing (round robin, DNS) leaves each host a queue of its own; one that always finds a free worker
makes one queue of all. What least-connections balancers do lies between the two, near the second.
"""

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

from benchmarks import scale
from serving.rollout.gates import percentile
from tuning.queueing import Service, simulate

HOSTS = (1, 2, 4, 8)
LOADS = (0.5, 0.7, 0.8, 0.9)
REQUESTS = 60_000
# Milliseconds of one accelerator for a photo, decoding included: from slow to faster than any here was measured.
GPU_MS = (4.0, 2.0, 1.0, 0.5, 0.25)
GPU_CORES = 16


def is_wanted(told: dict[str, Any], *, workers: int, batch_size: int) -> bool:
    """Return whether these are the figures of so many workers of one thread."""
    setting = told["setting"]
    found = (setting["workers"], setting["threads"], setting["batch_size"])
    return found == (workers, 1, batch_size)


def service_of(told: dict[str, Any], *, hosts: int = 1) -> Service:
    """Return the measured host's service, or that of so many of them behind one queue."""
    host = scale.service_of(told)
    return replace(host, slowdowns=host.slowdowns[-1:] * (len(host.slowdowns) * hosts))


def p99_table(told: dict[str, Any]) -> str:
    """Return p99 by load and number of hosts as Markdown."""
    lines = [
        f"| load | {' | '.join(f'one queue of {n}' if n > 1 else 'a queue each' for n in HOSTS)} |",
        f"|---:|{'---:|' * len(HOSTS)}",
    ]
    for load in LOADS:
        cells = []
        for hosts in HOSTS:
            service = service_of(told, hosts=hosts)
            latencies = simulate(
                service, rate_per_s=load * service.capacity_per_s, requests=REQUESTS
            )
            cells.append(f"{percentile(latencies, 0.99):.0f} ms")
        lines.append(f"| {100 * load:.0f} % | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def frontend_table(told: dict[str, Any]) -> str:
    """Return how many cores the frontend needs before accelerators of several speeds, as Markdown."""
    frontend_ms = told["cpu_ms_per_photo"]["frontend"]
    lines = [
        f"| a photo on the GPU | photos/s of one GPU | cores for the frontend | GPUs that {GPU_CORES} cores feed |",
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
    for told in json.loads(scale.RESULTS.read_text()).values():
        if is_wanted(told, workers=arguments.workers, batch_size=arguments.batch_size):
            sys.stdout.write(f"{p99_table(told)}\n{frontend_table(told)}")
            return
    parser.error("that setting was not measured; run benchmarks.scale first")


if __name__ == "__main__":
    main()
