"""What rounds of benchmarks.serving say: medians over rounds; of open loops, the latencies of all rounds together."""

from collections.abc import Sequence
from typing import Any

from benchmarks.results import middle
from serving.rollout.gates import percentile

Round = dict[str, Any]
QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}


def figures(rounds: Sequence[Round], kind: str) -> dict[str, Any]:
    """Return the figures of one kind of photos, as benchmarks/results.json holds them.

    A contender that fell out of the last round has its fault for figures.
    """
    servers = rounds[-1]["servers"]
    asked = [name for name in servers if name in rounds[-1]["kinds"][kind]["servers"]]
    faults = {name: one for name, one in servers.items() if "fault" in one}
    return {
        "rounds": len(rounds),
        "in_process": _in_process([one["kinds"][kind]["in_process"] for one in rounds]),
        "open_rates_per_s": rounds[-1]["kinds"][kind]["open_rates_per_s"],
        "servers": {name: _server(rounds, kind, name) for name in asked if name not in faults}
        | faults,
    }


def _in_process(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: middle([one[name] for one in found]) for name in found[0]}


def _server(rounds: Sequence[Round], kind: str, name: str) -> dict[str, Any]:
    taken = [
        (one["servers"][name], one["kinds"][kind]["servers"][name])
        for one in rounds
        if "fault" not in one["servers"][name]
    ]
    loads = [load for _, load in taken]
    return {
        "start_s": middle([server["start_s"] for server, _ in taken]),
        "resident_mb": middle([server["resident_mb"] for server, _ in taken]),
        "connections": {
            count: _closed([load["closed"][count] for load in loads])
            for count in loads[0]["closed"]
        },
        "open": {
            share: _open([load["open"][share] for load in loads]) for share in loads[0]["open"]
        },
    }


def _closed(found: Sequence[dict[str, float]]) -> dict[str, Any]:
    speeds = [one["requests_per_s"] for one in found]
    return {
        "requests_per_s": middle(speeds),
        "spread": [round(min(speeds), 2), round(max(speeds), 2)],
        "p50_ms": middle([one["p50_ms"] for one in found]),
        "p99_ms": middle([one["p99_ms"] for one in found]),
        "failed": sum(one["failed"] for one in found),
    }


def _open(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    latencies_ms = [latency for one in found for latency in one["latencies_ms"]]
    return {
        "requests": len(latencies_ms),
        **{name: round(percentile(latencies_ms, share), 2) for name, share in QUANTILES.items()},
        "failed": sum(one["failed"] for one in found),
    }
