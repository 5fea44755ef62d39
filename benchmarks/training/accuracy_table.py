"""The tables of accuracy.json: a row per photo set and number of photos, a column per recipe, headswap's mean lead.

Networks, image sizes and numbers of epochs are not mixed: each has a table of its own.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.summary import standard_deviation

HEADSWAP, HEAD_ALONE = "headswap", "headswap, head alone"
EARLIER = "headswap, earlier settings"
OTHERS = ("fastai fine_tune", "timm train.py", "torchvision tutorial", "Ultralytics classify")
RECIPES = (HEADSWAP, HEAD_ALONE, EARLIER, *OTHERS)

Row = tuple[str, int]
"""Photo set and photos a class; 0 is all."""
Accuracies = Mapping[int, float]
"""Accuracy, 0..1, by seed."""
Cells = Sequence[Mapping[str, Any]]


def by_conditions(results: Mapping[str, Any]) -> list[Cells]:
    """Return the cells of each network, image size and number of epochs, the largest group first."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for cell in results["cells"].values():
        conditions = (cell["architecture"], cell["image_size_px"], cell["epochs"])
        groups.setdefault(conditions, []).append(cell)
    return sorted(groups.values(), key=len, reverse=True)


def by_row(cells: Cells) -> dict[Row, dict[str, dict[int, float]]]:
    """Return the accuracies of each row, by recipe and seed."""
    rows: dict[Row, dict[str, dict[int, float]]] = {}
    for cell in cells:
        row = rows.setdefault((cell["photo_set"], cell["photos_per_class"]), {})
        row.setdefault(cell["recipe"], {})[cell["seed"]] = cell["accuracy"]
    return dict(sorted(rows.items(), key=lambda item: (item[0][1] or 10**9, item[0][0])))


def paired_difference(first: Accuracies, second: Accuracies) -> float:
    """Return by how much the first is more accurate on the mean of the seeds that both have."""
    seeds = first.keys() & second.keys()
    return statistics.fmean(first[seed] - second[seed] for seed in seeds)


def mean_difference(
    rows: Mapping[Row, Mapping[str, Accuracies]], other: str
) -> tuple[float, float, int] | None:
    """Return headswap's mean lead over another recipe, its standard error over rows, and how many rows have both."""
    differences = [
        paired_difference(row[HEADSWAP], row[other])
        for row in rows.values()
        if HEADSWAP in row and other in row and row[HEADSWAP].keys() & row[other].keys()
    ]
    if not differences:
        return None
    error = standard_deviation(differences) / len(differences) ** 0.5
    return statistics.fmean(differences), error, len(differences)


def tables(results: Mapping[str, Any]) -> str:
    """Return the tables as Markdown, each with its conditions below it."""
    return "\n".join(table(cells) for cells in by_conditions(results))


def table(cells: Cells) -> str:
    """Return the table of cells of one network, image size and number of epochs as Markdown."""
    rows = by_row(cells)
    lines = [
        f"| photos | {' | '.join(RECIPES)} |",
        f"|---|{'---:|' * len(RECIPES)}",
        *(_line(row, of_row) for row, of_row in rows.items()),
        _lead(rows),
    ]
    return "\n".join([*lines, "", _conditions(cells), ""])


def _line(row: Row, recipes: Mapping[str, Accuracies]) -> str:
    name, photos_per_class = row
    means = {
        recipe: statistics.fmean(accuracies.values()) for recipe, accuracies in recipes.items()
    }
    cells = [_cell(recipes.get(recipe, {}), best=max(means.values())) for recipe in RECIPES]
    return f"| {name}, {photos_per_class or 'all'} a class | {' | '.join(cells)} |"


def _cell(accuracies: Accuracies, *, best: float) -> str:
    if not accuracies:
        return ""
    values = list(accuracies.values())
    mean = statistics.fmean(values)
    text = f"{100 * mean:.1f}"
    if len(values) > 1:
        text += f" ± {100 * standard_deviation(values):.1f}"
    return f"**{text}**" if mean == best else text


def _lead(rows: Mapping[Row, Mapping[str, Accuracies]]) -> str:
    cells = [_lead_cell(mean_difference(rows, recipe)) for recipe in RECIPES[1:]]
    return f"| headswap's lead, points | | {' | '.join(cells)} |"


def _lead_cell(lead: tuple[float, float, int] | None) -> str:
    if lead is None:
        return ""
    mean, error, row_count = lead
    # One row has no error.
    spread = f" ± {100 * error:.1f}" if row_count > 1 else ""
    return f"{100 * mean:+.1f}{spread} ({row_count})"


def _conditions(cells: Cells) -> str:
    seeds = max(cell["seed"] for cell in cells) + 1
    draws = "one draw" if seeds == 1 else f"mean ± standard deviation of up to {seeds} draws"
    first = cells[0]
    tests = sorted(cell["test_n"] for cell in cells)
    return (
        f"Test accuracy in %, {first['architecture']} at {first['image_size_px']} px, {first['epochs']} epochs of the "
        f"whole network; {draws}, {tests[0]} to {tests[-1]} test photos. The "
        "lead is the mean over rows of the paired difference ± its standard error (rows)."
    )
