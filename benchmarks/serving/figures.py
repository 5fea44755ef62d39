"""Figures of benchmarks.serving.speed: medians over rounds; open loops pool the latencies of all rounds."""

from collections.abc import Sequence
from typing import Any

from benchmarks.summary import rounded_median
from serving.loadtest.result import percentile

Round = dict[str, Any]
QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}


def figures(rounds: Sequence[Round], kind: str) -> dict[str, Any]:
    """Return the figures of one kind of photos, as benchmarks/results/serving.json holds them.

    A candidate that was excluded from the last round has only the reason, `fault`.
    """
    servers = rounds[-1]["servers"]
    loaded = [name for name in servers if name in rounds[-1]["kinds"][kind]["servers"]]
    faults = {name: server for name, server in servers.items() if "fault" in server}
    return {
        "rounds": len(rounds),
        "in_process": _in_process([one_round["kinds"][kind]["in_process"] for one_round in rounds]),
        "open_rates_per_s": rounds[-1]["kinds"][kind]["open_rates_per_s"],
        "servers": {name: _server(rounds, kind, name) for name in loaded if name not in faults}
        | faults,
    }


def _in_process(measured: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: rounded_median([figures[name] for figures in measured]) for name in measured[0]}


def _server(rounds: Sequence[Round], kind: str, name: str) -> dict[str, Any]:
    taken = [
        (one_round["servers"][name], one_round["kinds"][kind]["servers"][name])
        for one_round in rounds
        if "fault" not in one_round["servers"][name]
    ]
    loads = [load for _, load in taken]
    return {
        "start_s": rounded_median([server["start_s"] for server, _ in taken]),
        "resident_mb": rounded_median([server["resident_mb"] for server, _ in taken]),
        "connections": {
            count: _closed([load["closed"][count] for load in loads])
            for count in loads[0]["closed"]
        },
        "open": {
            share: _open([load["open"][share] for load in loads]) for share in loads[0]["open"]
        },
    }


def _closed(loops: Sequence[dict[str, float]]) -> dict[str, Any]:
    speeds = [loop["requests_per_s"] for loop in loops]
    return {
        "requests_per_s": rounded_median(speeds),
        "spread": [round(min(speeds), 2), round(max(speeds), 2)],
        "p50_ms": rounded_median([loop["p50_ms"] for loop in loops]),
        "p99_ms": rounded_median([loop["p99_ms"] for loop in loops]),
        "failed": sum(loop["failed"] for loop in loops),
    }


def _open(loops: Sequence[dict[str, Any]]) -> dict[str, Any]:
    latencies_ms = [latency for loop in loops for latency in loop["latencies_ms"]]
    return {
        "requests": len(latencies_ms),
        **{name: round(percentile(latencies_ms, share), 2) for name, share in QUANTILES.items()},
        "failed": sum(loop["failed"] for loop in loops),
    }
