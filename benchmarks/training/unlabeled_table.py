"""The table of unlabeled.json: a row per photo set and kind of unlabeled photos, with and without them."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.summary import format_percent, standard_deviation

HEAD, WHOLE, UNLABELED, WHOLE_UNLABELED = (
    "labels alone, head",
    "labels alone, whole network",
    "labels and unlabeled photos, head",
    "labels and unlabeled photos, whole network",
)
SHOWN_AS = {
    "all": "all",
    "skewed": "classes as unequal as 10 to 1",
    "foreign": "three in ten classes have no label",
}


def table(results: Mapping[str, Any]) -> str:
    """Return the results of each photo set as Markdown."""
    columns = [HEAD, UNLABELED]
    if any("whole" in entry for entry in results.values()):
        columns = [HEAD, WHOLE, UNLABELED, WHOLE_UNLABELED]
    heads = ["photo set, unlabeled photos", *columns, "gain", "least gain", "used"]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for name, entry in results.items():
        lines += [_row(name, kind, entry, columns) for kind in entry["rounds"]]
    first = next(iter(results.values()))
    lines += [
        "",
        f"{first['architecture']} from the included weights at {first['image_size_px']} px, "
        f"{first['labels_per_class']} labelled photos of each class; test accuracy, mean ± standard deviation of "
        f"{len(first['draws'])} draws. Gain in points, draw by draw, of the whole network where it was trained and "
        "else of the head, over labels alone, the better by its mean. Used: draws in which held-out photos agreed.",
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, kind: str, entry: Mapping[str, Any], columns: Sequence[str]) -> str:
    rounds = entry["rounds"][kind]
    accuracies = {column: [r[column] for r in rounds] for column in (HEAD, UNLABELED)}
    if kind == "all":
        accuracies |= entry.get("whole", {})
    alone = max((accuracies[column] for column in (HEAD, WHOLE) if column in accuracies), key=sum)
    with_them = accuracies.get(WHOLE_UNLABELED, accuracies[UNLABELED])
    gains = [100 * (after - before) for before, after in zip(alone, with_them, strict=True)]
    cells = [
        f"{name} ({rounds[0]['test_n']} test photos), {SHOWN_AS[kind]} ({_span(rounds)})",
        *(format_percent(accuracies[c]) if c in accuracies else "" for c in columns),
        f"{sum(gains) / len(gains):+.1f} ± {standard_deviation(gains):.1f}",
        f"{min(gains):+.1f}",
        f"{sum(r['helps'] for r in rounds)} of {len(rounds)}",
    ]
    return f"| {' | '.join(cells)} |"


def _span(rounds: Sequence[Mapping[str, Any]]) -> str:
    counts = [r["unlabeled_n"] for r in rounds]
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
