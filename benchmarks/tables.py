"""Puts the tables of benchmarks/results.json between README.md's two marks; a test holds the two equal.

python -m benchmarks.tables
"""

from typing import Any

from benchmarks import readme, results

SERVING = "serving "
NAMES = {
    "headswap": "**headswap**",
    "headswap-onnx": "headswap, `handler.engine: onnx`",
    "headswap-batches": "headswap, `batchSize: 2`",
    "stock": "TorchServe `image_classifier`, as shipped",
    "stock-tuned": "TorchServe `image_classifier`, OMP_NUM_THREADS=1",
    "fastapi": "FastAPI + ONNX Runtime, a process a core",
    "litserve": "LitServe + ONNX Runtime, a worker a core",
    "bentoml": "BentoML + ONNX Runtime, a worker a core",
    "ray": "Ray Serve + ONNX Runtime, a replica a core",
    "stock-4": "TorchServe `image_classifier`, 4 workers, OMP_NUM_THREADS=1",
    "no-op": "TorchServe with a handler that does nothing",
}


OURS_OR_NOBODYS = ("headswap", "headswap-onnx", "headswap-batches", "no-op")
"""Nobody whom headswap could be behind."""
LEADING = "8"
"""Connections by which servers are put in order and held against the ceiling."""


def render(told: dict[str, Any]) -> str:
    """Return the tables as Markdown: servers by network and photos, then gRPC, then swaps."""
    serving = [_tables(key, found) for key, found in told.items() if key.startswith(SERVING)]
    parts = [*serving, *(say(told[key]) for key, say in _SENTENCES.items() if key in told)]
    return "\n".join(parts)


def _tables(key: str, found: dict[str, Any]) -> str:
    """Return the closed loops of one network and kind of photos, the open ones if there were, and what they say."""
    servers = {name: one for name, one in found["servers"].items() if "fault" not in one}
    silent = [NAMES[name] for name in found["servers"] if name not in servers]
    title = key.removeprefix(SERVING)
    notes = [
        f"{_where(found)}; {_rounds(found)} of {found['seconds']:g} s, {_failed(servers)}.",
        *([f"Did not answer: {', '.join(silent)}."] if silent else []),
        _standing(servers),
    ]
    parts = [_closed_table(title, found, servers)]
    if found.get("open_rates_per_s"):
        parts.append(_open_table(title, found, servers))
    return "\n".join([*parts, " ".join(notes), ""])


def _closed_table(title: str, found: dict[str, Any], servers: dict[str, Any]) -> str:
    inside = found["in_process"]
    counts = sorted({count for one in servers.values() for count in one["connections"]}, key=int)
    lines = [
        f"| {title}: requests/s (p50 / p99 ms) | {' | '.join(_connections(count) for count in counts)} "
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
    for name, one in ordered:
        share = one["connections"][leading]["requests_per_s"] / inside["photos_per_s"]
        cells = [_closed_cell(one["connections"].get(count)) for count in counts]
        cells.append("" if name == "no-op" else f"{share:.0%}".replace("%", " %"))
        cells += [f"{one['resident_mb']:.0f}", f"{one['start_s']:.1f}"]
        lines.append(f"| {NAMES[name]} | {' | '.join(cells)} |")
    alone_ms = inside.get("one_photo_ms")
    cells = [
        f"{1e3 / alone_ms:.1f} ({alone_ms:.0f})"
        if count == "1" and alone_ms
        else f"{inside['photos_per_s']:.1f}"
        for count in counts
    ]
    lines += [f"| in process, no server: the ceiling | {' | '.join(cells)} | 100 % | | |", ""]
    return "\n".join(lines)


def _open_table(title: str, found: dict[str, Any], servers: dict[str, Any]) -> str:
    rates = found["open_rates_per_s"]
    heads = [
        f"{rate:g} a second ({share.replace('%', ' %')} of the ceiling)"
        for share, rate in rates.items()
    ]
    lines = [
        f"| {title}, at random: p50 / p99 / p99.9 ms | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(rates)}",
    ]
    heaviest = list(rates)[-1]
    timed = {name: one["open"] for name, one in servers.items() if one["open"]}
    for name, loops in sorted(timed.items(), key=lambda item: item[1][heaviest]["p99_ms"]):
        cells = " | ".join(
            f"{loops[share]['p50_ms']:.0f} / {loops[share]['p99_ms']:.0f} / {loops[share]['p999_ms']:.0f}"
            for share in rates
        )
        lines.append(f"| {NAMES[name]} | {cells} |")
    return "\n".join([*lines, ""])


def _connections(count: str) -> str:
    return "1 connection" if count == "1" else f"{count} connections"


def _closed_cell(loop: dict[str, Any] | None) -> str:
    if loop is None:
        return ""
    return f"{loop['requests_per_s']:.1f} ({loop['p50_ms']:.0f} / {loop['p99_ms']:.0f})"


def _standing(servers: dict[str, Any]) -> str:
    """Return in which loads headswap is not first, and who is, by how much."""
    ahead = []
    others = {name: one for name, one in servers.items() if name not in OURS_OR_NOBODYS}
    ours = servers.get("headswap")
    if ours is None or not others:
        return ""
    for count, loop in ours["connections"].items():
        speeds = _figures(others, "connections", count, "requests_per_s")
        best = max(speeds, key=speeds.__getitem__, default="")
        if best and speeds[best] > loop["requests_per_s"]:
            more = f"{speeds[best] / loop['requests_per_s'] - 1:.0%} faster"
            told = more if more != "0% faster" else "as fast"
            ahead.append(f"with {_connections(count)} {NAMES[best]} is {told}")
    for share, loop in ours["open"].items():
        p99_ms = _figures(others, "open", share, "p99_ms")
        best = min(p99_ms, key=p99_ms.__getitem__, default="")
        if best and p99_ms[best] < loop["p99_ms"]:
            ahead.append(
                f"at {share} of the ceiling {NAMES[best]} has the lower p99, "
                f"{p99_ms[best]:.0f} ms to {loop['p99_ms']:.0f}"
            )
    told = f"Not first: {'; '.join(ahead)}." if ahead else "headswap is first under every load."
    return told.replace("%", " %")


def _figures(servers: dict[str, Any], loops: str, load: str, figure: str) -> dict[str, float]:
    """Return a figure of each server that took this load."""
    return {name: one[loops][load][figure] for name, one in servers.items() if load in one[loops]}


def _rounds(found: dict[str, Any]) -> str:
    return "one round" if found["rounds"] == 1 else f"median of {found['rounds']} rounds"


def _where(found: dict[str, Any]) -> str:
    return f"{found['machine']['processor']}, {found['machine']['cores']} cores, {found['date']}"


def _transports(found: dict[str, Any]) -> str:
    http, grpc = found["http"], found["grpc"]
    ratio = grpc["requests_per_s"] / http["requests_per_s"]
    return (
        f"gRPC against HTTP, ResNet-18, 8 connections of our own client: {grpc['requests_per_s']:.1f} requests/s to "
        f"{http['requests_per_s']:.1f} ({ratio:.2f} times), p50 {grpc['p50_ms']:.0f} ms to {http['p50_ms']:.0f}.\n"
    )


def _swaps(found: dict[str, Any]) -> str:
    during, outside = found["p99_ms"]["during"], found["p99_ms"]["outside"]
    return (
        f"Hot swaps, ResNet-18, {found['connections']} connections: {found['swaps']} in {found['seconds']} s, "
        f"{found['requests']:,} requests, {found['failed']} failed, {found['wrong_answers']} wrong; a "
        f"promotion of a loaded version takes {found['promotion_s']:.1f} s, p99 {during:.0f} ms during it "
        f"and {outside:.0f} ms outside.\n"
    )


_SENTENCES = {"transports": _transports, "swaps": _swaps}


def _failed(servers: dict[str, Any]) -> str:
    failed = {
        name: sum(
            told["failed"] for loops in ("connections", "open") for told in one[loops].values()
        )
        for name, one in servers.items()
    }
    named = ", ".join(f"{name} {count}" for name, count in failed.items() if count)
    return f"failed requests: {named or 'none'}"


if __name__ == "__main__":
    readme.put("benchmarks", render(results.read()))
