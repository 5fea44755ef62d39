"""Tables of the serving benchmarks in docs/benchmarks.md; a test holds them equal to benchmarks/results/serving.json.

python -m benchmarks.serving.tables
"""

from collections.abc import Mapping
from typing import Any

from benchmarks import document
from benchmarks.measurements import read, result_file

RESULTS = result_file("serving")
SERVING = "serving "
NAMES = {
    "headswap": "**headswap**",
    "headswap-onnx": "headswap, `handler.engine: onnx`",
    "headswap-batches": "headswap, `batchSize: 2`",
    "stock": "TorchServe `image_classifier`, as shipped",
    "stock-tuned": "TorchServe `image_classifier`, OMP_NUM_THREADS=1",
    "fastapi": "FastAPI + ONNX Runtime, one process per core",
    "litserve": "LitServe + ONNX Runtime, one worker per core",
    "bentoml": "BentoML + ONNX Runtime, one worker per core",
    "ray": "Ray Serve + ONNX Runtime, one replica per core",
    "stock-4": "TorchServe `image_classifier`, 4 workers, OMP_NUM_THREADS=1",
    "no-op": "TorchServe with a handler that does nothing",
}
NOT_PEERS = ("headswap", "headswap-onnx", "headswap-batches", "no-op")
LEADING = "8"
"""Connections by which servers are ordered and compared with the ceiling."""

Entry = Mapping[str, Any]


def render(results: Entry) -> str:
    """Return the tables as Markdown: servers by network and photos, then gRPC, hot swaps and capture."""
    serving = [_tables(key, entry) for key, entry in results.items() if key.startswith(SERVING)]
    sentences = [describe(results[key]) for key, describe in _SENTENCES.items() if key in results]
    return "\n".join([*serving, *sentences])


def _tables(key: str, entry: Entry) -> str:
    """Return the tables of one network and kind of photos: closed loops, open loops if measured, and conclusions."""
    servers = {name: server for name, server in entry["servers"].items() if "fault" not in server}
    excluded = [NAMES[name] for name in entry["servers"] if name not in servers]
    title = key.removeprefix(SERVING)
    notes = [
        f"{_format_machine(entry)}; {_format_rounds(entry)} of {entry['seconds']:g} s, {_format_failed(servers)}.",
        *([f"Did not answer: {', '.join(excluded)}."] if excluded else []),
        _format_ranking(servers),
    ]
    parts = [_closed_table(title, entry, servers)]
    if entry.get("open_rates_per_s"):
        parts.append(_open_table(title, entry, servers))
    return "\n".join([*parts, " ".join(notes), ""])


def _closed_table(title: str, entry: Entry, servers: Entry) -> str:
    in_process = entry["in_process"]
    counts = sorted(
        {count for server in servers.values() for count in server["connections"]}, key=int
    )
    lines = [
        f"| {title}: requests/s (p50 / p99 ms) | {' | '.join(_format_connections(count) for count in counts)} "
        "| of the ceiling | memory MB | start s |",
        f"|---|{'---:|' * len(counts)}---:|---:|---:|",
    ]
    leading = LEADING if LEADING in counts else counts[-1]
    ordered = sorted(
        servers.items(),
        key=lambda item: (
            item[0] == "no-op", -item[1]["connections"][leading]["requests_per_s"]
        ),
    )  # fmt: skip
    for name, server in ordered:
        share = server["connections"][leading]["requests_per_s"] / in_process["photos_per_s"]
        cells = [_closed_cell(server["connections"].get(count)) for count in counts]
        cells.append("" if name == "no-op" else f"{share:.0%}".replace("%", " %"))
        cells += [f"{server['resident_mb']:.0f}", f"{server['start_s']:.1f}"]
        lines.append(f"| {NAMES[name]} | {' | '.join(cells)} |")
    alone_ms = in_process.get("one_photo_ms")
    cells = [
        f"{1e3 / alone_ms:.1f} ({alone_ms:.0f})"
        if count == "1" and alone_ms
        else f"{in_process['photos_per_s']:.1f}"
        for count in counts
    ]
    lines += [
        f"| in process, without a server: the ceiling | {' | '.join(cells)} | 100 % | | |",
        "",
    ]
    return "\n".join(lines)


def _open_table(title: str, entry: Entry, servers: Entry) -> str:
    rates = entry["open_rates_per_s"]
    heads = [
        f"{rate:g} requests/s ({share.replace('%', ' %')} of the ceiling)"
        for share, rate in rates.items()
    ]
    lines = [
        f"| {title}, random arrivals: p50 / p99 / p99.9 ms | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(rates)}",
    ]
    heaviest = list(rates)[-1]
    measured = {name: server["open"] for name, server in servers.items() if server["open"]}
    for name, loops in sorted(measured.items(), key=lambda item: item[1][heaviest]["p99_ms"]):
        cells = " | ".join(
            f"{loops[share]['p50_ms']:.0f} / {loops[share]['p99_ms']:.0f} / {loops[share]['p999_ms']:.0f}"
            for share in rates
        )
        lines.append(f"| {NAMES[name]} | {cells} |")
    return "\n".join([*lines, ""])


def _format_connections(count: str) -> str:
    return "1 connection" if count == "1" else f"{count} connections"


def _closed_cell(loop: Entry | None) -> str:
    if loop is None:
        return ""
    return f"{loop['requests_per_s']:.1f} ({loop['p50_ms']:.0f} / {loop['p99_ms']:.0f})"


def _format_ranking(servers: Entry) -> str:
    """Return under which loads headswap is not first, which peer is, and by how much."""
    peers = {name: server for name, server in servers.items() if name not in NOT_PEERS}
    headswap = servers.get("headswap")
    if headswap is None or not peers:
        return ""
    ahead = []
    for count, loop in headswap["connections"].items():
        speeds = _figures(peers, "connections", count, "requests_per_s")
        best = max(speeds, key=speeds.__getitem__, default="")
        if best and speeds[best] > loop["requests_per_s"]:
            faster = f"{speeds[best] / loop['requests_per_s'] - 1:.0%} faster"
            text = faster if faster != "0% faster" else "as fast"
            ahead.append(f"with {_format_connections(count)} {NAMES[best]} is {text}")
    for share, loop in headswap["open"].items():
        p99_ms = _figures(peers, "open", share, "p99_ms")
        best = min(p99_ms, key=p99_ms.__getitem__, default="")
        if best and p99_ms[best] < loop["p99_ms"]:
            ahead.append(
                f"at {share} of the ceiling {NAMES[best]} has the lower p99, "
                f"{p99_ms[best]:.0f} ms to {loop['p99_ms']:.0f}"
            )
    text = f"Not first: {'; '.join(ahead)}." if ahead else "headswap is first under every load."
    return text.replace("%", " %")


def _figures(servers: Entry, loops: str, load: str, figure: str) -> dict[str, float]:
    """Return a figure of each server that was measured under this load."""
    return {
        name: server[loops][load][figure]
        for name, server in servers.items()
        if load in server[loops]
    }


def _format_rounds(entry: Entry) -> str:
    return "one round" if entry["rounds"] == 1 else f"median of {entry['rounds']} rounds"


def _format_machine(entry: Entry) -> str:
    return f"{entry['machine']['processor']}, {entry['machine']['cores']} cores, {entry['date']}"


def _format_failed(servers: Entry) -> str:
    failed = {
        name: sum(
            loop["failed"] for loops in ("connections", "open") for loop in server[loops].values()
        )
        for name, server in servers.items()
    }
    counts = ", ".join(f"{name} {count}" for name, count in failed.items() if count)
    return f"failed requests: {counts or 'none'}"


def _format_transports(entry: Entry) -> str:
    http, grpc = entry["http"], entry["grpc"]
    ratio = grpc["requests_per_s"] / http["requests_per_s"]
    return (
        f"gRPC compared with HTTP, ResNet-18, 8 connections of headswap's client: {grpc['requests_per_s']:.1f} "
        f"requests/s to {http['requests_per_s']:.1f} ({ratio:.2f} times), p50 {grpc['p50_ms']:.0f} ms to "
        f"{http['p50_ms']:.0f}.\n"
    )


def _format_swaps(entry: Entry) -> str:
    during, outside = entry["p99_ms"]["during"], entry["p99_ms"]["outside"]
    return (
        f"Hot swaps, ResNet-18, {entry['connections']} connections: {entry['swaps']} in {entry['seconds']} s, "
        f"{entry['requests']:,} requests, {entry['failed']} failed, {entry['wrong_answers']} wrong; a "
        f"promotion of a loaded version takes {entry['promotion_s']:.1f} s, p99 {during:.0f} ms during it "
        f"and {outside:.0f} ms outside.\n"
    )


def _format_capture(entry: Entry) -> str:
    ratio, cpu = entry["photos_per_s_ratio"], entry["cpu_ratio"]
    return (
        f"Capture (`headswap serve --capture`) of {entry['kept_share']:.0%} of the photos, {entry['architecture']}, "
        f"one worker, {entry['rounds']} interleaved rounds of {entry['photos']} photos with it and without: "
        f"{ratio['median']:.3f} times the photos/s (quartiles {ratio['low']:.3f} to {ratio['high']:.3f}), "
        f"{cpu['median']:.3f} times the CPU time ({cpu['low']:.3f} to {cpu['high']:.3f}), the thread that writes "
        "included.\n"
    ).replace("%", " %")


_SENTENCES = {
    "transports": _format_transports,
    "swaps": _format_swaps,
    "capture": _format_capture,
}


if __name__ == "__main__":
    document.put("benchmarks", render(read(RESULTS)))
