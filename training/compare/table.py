"""A comparison as a Markdown table and as a drawing."""

from collections.abc import Mapping
from typing import Any

import matplotlib

from reports.figures import FIRST, INK, SECOND, style
from training.compare.comparison import Comparison, Row


def read_comparison(values: Mapping[str, Any]) -> Comparison:
    """Return the comparison that comparison.json holds."""
    return Comparison(**{**values, "rows": [Row(**row) for row in values["rows"]]})


def markdown_table(comparison: Comparison) -> str:
    """Return the rows, best first and best in bold, then a line with what they share."""
    lines = [
        "| network | start | learns | epochs | test accuracy | training | parameters | served | archive |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_line(row, is_best=row is comparison.rows[0]) for row in comparison.rows),
        "",
        _shared(comparison),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row, *, is_best: bool) -> str:
    spread = f" ± {100 * row.spread:.1f}" if len(row.accuracies) > 1 else ""
    accuracy = f"{100 * row.mean:.1f}{spread} %"
    cells = [
        row.architecture,
        _start(row),
        _learns(row),
        " + ".join(str(count) for count in (row.head_epochs, row.epochs) if count),
        f"**{accuracy}**" if is_best else accuracy,
        f"{row.training_s:.0f} s",
        f"{row.parameters / 1e6:.1f} M",
        f"{row.photos_per_s:.0f} photos/s",
        f"{row.archive_bytes / 1e6:.0f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def _start(row: Row) -> str:
    return "scratch" if row.weights == "none" else row.weights


def _learns(row: Row) -> str:
    return "head only" if row.freeze == "body" else "everything"


def _shared(comparison: Comparison) -> str:
    config, first = comparison.config, comparison.rows[0]
    seeds = len(first.accuracies)
    return (
        (f"Mean ± standard deviation of {seeds} seeds; " if seeds > 1 else "One seed; ")
        + f"{comparison.train_n} photos to learn from, {first.test_n} to test on, "
        f"{config['image_size_px']} px. Epochs of two numbers: of the head, then of everything. "
        "Served: one thread, one photo at a time, decoding included."
    )


def draw(comparison: Comparison) -> Any:
    """Return a matplotlib figure: a dot for each seed, a bar at the mean."""
    from matplotlib.figure import Figure

    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(7.5, 0.42 * len(comparison.rows) + 1.1), layout="constrained")
        axes = figure.subplots()
        rows = comparison.rows[::-1]
        for place, row in enumerate(rows):
            colour = SECOND if row.freeze == "body" else FIRST
            axes.barh(place, 100 * row.mean, color=colour, alpha=0.35, height=0.6)
            shares = [100 * accuracy for accuracy in row.accuracies]
            axes.plot(shares, [place] * len(shares), "o", color=colour, ms=5)
            axes.text(1, place, f"{100 * row.mean:.1f} %", va="center", color=INK)
        names = [f"{row.architecture}, {_start(row)}, {_learns(row)}" for row in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set_xlim(0, 100)
        axes.set_xlabel("test accuracy, %")
        axes.spines[["top", "right"]].set_visible(False)
    return figure
