"""Puts the tables of benchmarks/results.json between README.md's two marks; a test holds the two equal.

python -m benchmarks.tables
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.json")
BEGIN, END = "<!-- benchmarks: begin -->\n", "<!-- benchmarks: end -->"
NAMES = {
    "headswap": "**headswap**",
    "stock": "TorchServe `image_classifier`, as shipped",
    "stock-tuned": "TorchServe `image_classifier`, OMP_NUM_THREADS=1",
    "fastapi": "FastAPI + ONNX Runtime, a process a core",
    "litserve": "LitServe + ONNX Runtime, a worker a core",
    "bentoml": "BentoML + ONNX Runtime, a worker a core",
    "ray": "Ray Serve + ONNX Runtime, a replica a core",
    "no-op": "TorchServe with a handler that does nothing",
}


def render(results: dict[str, Any]) -> str:
    """Return the tables as Markdown, one a network and photo size."""
    return "\n".join(_table(key, found) for key, found in results.items())


def _table(key: str, found: dict[str, Any]) -> str:
    inside = found["in_process"]
    servers = {name: one for name, one in found["servers"].items() if "fault" not in one}
    counts = sorted({count for one in servers.values() for count in one["connections"]}, key=int)
    heads = [
        f"requests/s, {count} connection{'s' if count != '1' else ''} | p50 / p99 ms"
        for count in counts
    ]
    lines = [
        f"| {key} | {' | '.join(heads)} | of the ceiling | memory MB | start s |",
        f"|---|{'---:|---:|' * len(counts)}---:|---:|---:|",
    ]
    ordered = sorted(
        servers.items(), key=lambda item: -item[1]["connections"][counts[-1]]["requests_per_s"]
    )
    lines += [_row(name, one, counts, inside["photos_per_s"]) for name, one in ordered]
    lines.append(
        f"| in process, no server: the ceiling | {inside['photos_per_s']:.1f} | "
        f"{inside['one_photo_ms']:.1f} (one alone) |{' | |' * (len(counts) - 1)} 100 % | | |"
    )
    silent = [NAMES[name] for name in found["servers"] if name not in servers]
    machine = found["machine"]
    lines.append(
        f"\n{machine['processor']}, {machine['cores']} cores, {found['date']}; median of {found['rounds']} rounds of "
        f"{found['seconds']:g} s, {_failed(servers)}."
        + (f" Did not answer: {', '.join(silent)}.\n" if silent else "\n")
    )
    return "\n".join(lines)


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
    path.write_text(f"{head}{BEGIN}{render(json.loads(RESULTS.read_text()))}{END}{tail}")


if __name__ == "__main__":
    main()
