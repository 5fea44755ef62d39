"""A comparison as a Markdown table and as a plot."""

from collections.abc import Mapping
from typing import Any

import matplotlib

from reports.figures import BLUE, INK, ORANGE, rc_params
from training.compare.comparison import Comparison, Row


def read_comparison(values: Mapping[str, Any]) -> Comparison:
    """Return the comparison from the values of comparison.json."""
    return Comparison(**{**values, "rows": [Row(**row) for row in values["rows"]]})


def markdown_table(comparison: Comparison) -> str:
    """Return the rows, best first and in bold, and a note on what they have in common."""
    lines = [
        "| network | weights | trained | epochs | test accuracy | training | parameters | served | archive |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_line(row, is_best=row is comparison.rows[0]) for row in comparison.rows),
        "",
        _note(comparison),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row, *, is_best: bool) -> str:
    spread = f" ± {100 * row.spread:.1f}" if len(row.accuracies) > 1 else ""
    accuracy = f"{100 * row.mean:.1f}{spread} %"
    cells = [
        row.architecture,
        _weights(row),
        _trained_part(row),
        " + ".join(str(count) for count in (row.head_epochs, row.epochs) if count),
        f"**{accuracy}**" if is_best else accuracy,
        f"{row.training_s:.0f} s",
        f"{row.parameters / 1e6:.1f} M",
        f"{row.photos_per_s:.0f} photos/s",
        f"{row.archive_bytes / 1e6:.0f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def _weights(row: Row) -> str:
    return "none" if row.weights == "none" else row.weights


def _trained_part(row: Row) -> str:
    return "head" if row.freeze == "backbone" else "whole network"


def _note(comparison: Comparison) -> str:
    config, first = comparison.config, comparison.rows[0]
    seeds = len(first.accuracies)
    fit = config.get("fit", "crop")
    return (
        (f"Mean ± standard deviation of {seeds} seeds; " if seeds > 1 else "One seed; ")
        + f"{comparison.train_n} training and {first.test_n} test photos, {config['image_size_px']} px"
        f"{'' if fit == 'crop' else f', --fit {fit}'}. "
        "Epochs: of the head + of the whole network. Weights none: trained from scratch. "
        "Served: one thread, one photo at a time, including decoding."
    )


def draw(comparison: Comparison) -> Any:
    """Return a matplotlib figure: a bar per row up to the mean, and a dot per seed."""
    from matplotlib.figure import Figure

    with matplotlib.rc_context(rc_params()):
        figure = Figure(figsize=(7.5, 0.42 * len(comparison.rows) + 1.1), layout="constrained")
        axes = figure.subplots()
        rows = comparison.rows[::-1]
        for position, row in enumerate(rows):
            colour = ORANGE if row.freeze == "backbone" else BLUE
            axes.barh(position, 100 * row.mean, color=colour, alpha=0.35, height=0.6)
            shares = [100 * accuracy for accuracy in row.accuracies]
            axes.plot(shares, [position] * len(shares), "o", color=colour, ms=5)
            axes.text(1, position, f"{100 * row.mean:.1f} %", va="center", color=INK)
        names = [f"{row.architecture}, {_weights(row)}, {_trained_part(row)}" for row in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set_xlim(0, 100)
        axes.set_xlabel("test accuracy, %")
        axes.spines[["top", "right"]].set_visible(False)
    return figure
