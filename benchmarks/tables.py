"""Puts the tables of benchmarks/results.json between README.md's two marks; a test holds the two equal.

python -m benchmarks.tables
"""

from pathlib import Path
from typing import Any

from benchmarks import results

ROOT = Path(__file__).parents[1]
SERVING = "serving "
BEGIN, END = "<!-- benchmarks: begin -->\n", "<!-- benchmarks: end -->"
NAMES = {
    "headswap": "**headswap**",
    "stock": "TorchServe `image_classifier`, as shipped",
    "stock-tuned": "TorchServe `image_classifier`, OMP_NUM_THREADS=1",
    "fastapi": "FastAPI + ONNX Runtime, a process a core",
    "litserve": "LitServe + ONNX Runtime, a worker a core",
    "bentoml": "BentoML + ONNX Runtime, a worker a core",
    "ray": "Ray Serve + ONNX Runtime, a replica a core",
    "stock-4": "TorchServe `image_classifier`, 4 workers, OMP_NUM_THREADS=1",
    "no-op": "TorchServe with a handler that does nothing",
}


def render(told: dict[str, Any]) -> str:
    """Return the tables as Markdown: servers by network and photos, then gRPC, then swaps."""
    serving = [_table(key, found) for key, found in told.items() if key.startswith(SERVING)]
    parts = [*serving, *(say(told[key]) for key, say in _SENTENCES.items() if key in told)]
    return "\n".join(parts)


def _table(key: str, found: dict[str, Any]) -> str:
    inside = found["in_process"]
    servers = {name: one for name, one in found["servers"].items() if "fault" not in one}
    counts = sorted({count for one in servers.values() for count in one["connections"]}, key=int)
    heads = [
        f"requests/s, {count} connection{'s' if count != '1' else ''} | p50 / p99 ms"
        for count in counts
    ]
    lines = [
        f"| {key.removeprefix(SERVING)} | {' | '.join(heads)} | of the ceiling | memory MB | start s |",
        f"|---|{'---:|---:|' * len(counts)}---:|---:|---:|",
    ]
    ordered = sorted(
        servers.items(),
        key=lambda item: (
            item[0] == "no-op", -item[1]["connections"][counts[-1]]["requests_per_s"]
        ),
    )  # fmt: skip
    lines += [_row(name, one, counts, inside["photos_per_s"]) for name, one in ordered]
    cells = []
    for count in counts:
        alone = [f"{1e3 / inside['one_photo_ms']:.1f}", f"{inside['one_photo_ms']:.0f}"]
        cells += alone if count == "1" else [f"{inside['photos_per_s']:.1f}", ""]
    lines.append(f"| in process, no server: the ceiling | {' | '.join(cells)} | 100 % | | |")
    silent = [NAMES[name] for name in found["servers"] if name not in servers]
    lines.append(
        f"\n{_where(found)}; {_rounds(found)} of {found['seconds']:g} s, {_failed(servers)}."
        + (f" Did not answer: {', '.join(silent)}.\n" if silent else "\n")
    )
    return "\n".join(lines)


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


def _row(name: str, one: dict[str, Any], counts: list[str], ceiling: float) -> str:
    cells = []
    for count in counts:
        told = one["connections"].get(count)
        cells += ["", ""] if told is None else [
            f"{told['requests_per_s']:.1f}", f"{told['p50_ms']:.0f} / {told['p99_ms']:.0f}",
        ]  # fmt: skip
    busiest = one["connections"][counts[-1]]["requests_per_s"]
    share = "" if name == "no-op" else f"{busiest / ceiling:.0%}".replace("%", " %")
    return f"| {NAMES[name]} | {' | '.join(cells)} | {share} | {one['resident_mb']:.0f} | {one['start_s']:.1f} |"


def _failed(servers: dict[str, Any]) -> str:
    failed = {
        name: sum(told["failed"] for told in one["connections"].values())
        for name, one in servers.items()
    }
    named = ", ".join(f"{name} {count}" for name, count in failed.items() if count)
    return f"failed requests: {named or 'none'}"


def quoted(readme: str) -> str:
    """Return what stands between the marks."""
    return readme.partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}{render(results.read())}{END}{tail}")


if __name__ == "__main__":
    main()
