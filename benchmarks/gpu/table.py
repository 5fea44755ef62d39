"""The figures of the check as Markdown tables, one per step.

    python -m benchmarks.gpu.table runs/benchmarks/gpu/results.jsonl

writes them into docs/benchmarks.md and benchmarks/results/gpu.json; a test holds the two equal. Dry runs are refused.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import document
from benchmarks.gpu.records import Record, Records
from benchmarks.gpu.steps import STEPS
from benchmarks.measurements import merge, read, result_file

RESULTS = result_file("gpu")
KEY = "gpu"
NOT_MEASURED = "not measured"


def render(records: Sequence[Record]) -> str:
    """Return a table per step; steps without a record are `not measured`."""
    return "\n".join(_step_table(name, records) for name in STEPS)


def published() -> str:
    """Return what docs/benchmarks.md shows: the tables of the committed results, or that there are none."""
    entry = read(RESULTS).get(KEY, {})
    head = f"{entry['device']}, {entry['date']}.\n\n" if entry else ""
    return head + render(entry.get("records", []))


def publish(records: Sequence[Record]) -> None:
    """Write the records into the committed results and the page."""
    device = next((record["text"] for record in records if record.get("figure") == "device"), None)
    if device is None:
        raise SystemExit("these results name no GPU: a dry run is not published.")
    merge(KEY, {"device": device, "records": list(records)}, RESULTS)
    document.put("gpu", published())


def _step_table(name: str, records: Sequence[Record]) -> str:
    own = [record for record in records if record["step"] == name]
    ended = next((record for record in own if "status" in record), None)
    state = NOT_MEASURED if ended is None else f"{ended['status']}, {ended['seconds']:g} s"
    lines = [f"| {STEPS[name].title} ({state}) | value | aim |", "|---|---:|---|"]
    lines += [_figure_row(record) for record in own if "value" in record]
    lines += [
        f"| {_cell(record['figure'])}: {_cell(text)} | | |"
        for record in own
        for text in _texts(record)
    ]
    if ended is None:
        lines.append(f"| all figures | {NOT_MEASURED} | |")
    return "\n".join([*lines, ""])


def _figure_row(record: Record) -> str:
    value = "not a number" if record["value"] is None else f"{record['value']:,.6g}"
    aim = record.get("aim", "")
    if aim:
        aim += ": met" if record["is_met"] else ": **missed**"
    return f"| {_cell(record['figure'])} | {value} {record['unit']}".rstrip() + f" | {aim} |"


def _texts(record: Record) -> list[str]:
    text = record.get("text", [])
    return [text] if isinstance(text, str) else list(text)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


if __name__ == "__main__":
    publish(Records(Path(sys.argv[1])).read())
    sys.stdout.write(json.dumps(read(RESULTS), indent=2) + "\n")
