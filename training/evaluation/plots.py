"""The plots of a run's report, each an SVG in a data URL."""

from collections.abc import Sequence
from typing import Any

import torch

from reports.figures import BLUE, INK, ORANGE, svg_plot
from reports.names import name_width, shorten_name
from training.evaluation.abstention import risk_coverage

RELIABILITY_BINS = 10
# With more classes than this, the counts in the cells would be too small to read.
COUNTED_CLASSES_MAX = 25
# With more than this, so would the class names; and a million SVG cells would make a page of 200 MB.
NAMED_CLASSES_MAX = 100
BITMAP_SIDE_IN = 6.0
# The width of a character, so that long class names do not take the place of the matrix.
LABEL_COLUMN_IN = 0.1


def draw_curves(history: Sequence[dict[str, Any]]) -> str:
    """Return losses and accuracy by epoch; `history` are the lines of metrics.jsonl."""
    epochs = [line["epoch"] for line in history]
    with svg_plot(7, 3.2) as plot:
        axes = plot.axes
        for name, colour, line_style, label in (
            ("train_loss", BLUE, "-", "train loss"),
            ("val_loss", ORANGE, "-", "val loss"),
            ("val_accuracy", ORANGE, "--", "val accuracy"),
        ):
            values = [line[name] for line in history]
            axes.plot(epochs, values, color=colour, ls=line_style, marker=".", label=label)
        frozen = sum(line["frozen"] for line in history)
        if 0 < frozen < len(history):
            axes.axvline(frozen + 0.5, color=INK, lw=0.8)
            above = axes.get_xaxis_transform()
            axes.text(frozen + 0.5, 1.01, "whole network", va="bottom", transform=above)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.legend(frameon=False)
    return plot.url


def draw_confusion(class_names: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Return the confusion matrix: rows are the true classes, the shade of blue is the share of the row."""
    has_counts = len(class_names) <= COUNTED_CLASSES_MAX
    labels = [shorten_name(name) for name in class_names]
    label_in = LABEL_COLUMN_IN * max(map(name_width, labels), default=0)
    side_in = max(2.6, (0.45 if has_counts else 0.2) * len(class_names) + 0.5) + max(1.0, label_in)
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    if len(class_names) > NAMED_CLASSES_MAX:
        return _draw_bitmap(shares)
    with svg_plot(side_in, side_in) as plot:
        axes = plot.axes
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
        for row, counts in enumerate(matrix if has_counts else []):
            for column, count in enumerate(counts):
                colour = "white" if shares[row][column] > 0.5 else "#30363d"
                axes.text(
                    column + 0.5, row + 0.5, str(count), ha="center", va="center", color=colour
                )
        ticks = [index + 0.5 for index in range(len(class_names))]
        axes.set_xticks(ticks, labels, rotation=45, ha="right")
        axes.set_yticks(ticks, labels)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
    return plot.url


def _draw_bitmap(shares: Sequence[Sequence[float]]) -> str:
    with svg_plot(BITMAP_SIDE_IN, BITMAP_SIDE_IN) as plot:
        plot.axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        plot.axes.set_xlabel("predicted class, by number")
        plot.axes.set_ylabel("true class, by number")
    return plot.url


def draw_reliability(
    is_correct: Sequence[bool], *, before: Sequence[float], after: Sequence[float]
) -> str:
    """Return a reliability diagram: accuracy by confidence, before and after temperature scaling."""
    with svg_plot(3.6, 3.6) as plot:
        axes = plot.axes
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8)
        for confidences, colour, line_style, label in (
            (before, ORANGE, "--", "uncalibrated"),
            (after, BLUE, "-", "calibrated"),
        ):
            points = _accuracy_by_confidence(confidences, is_correct)
            axes.plot(
                *zip(*points, strict=True), color=colour, ls=line_style, marker="o", label=label
            )
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.legend(frameon=False)
    return plot.url


def draw_risk_coverage(
    is_correct: Sequence[bool],
    confidences: Sequence[float],
    *,
    chosen: tuple[float, float] | None = None,
) -> str:
    """Return the risk-coverage curve: the share of wrong answers, if only the surest photos are answered.

    `chosen` is marked: the share answered and the share of wrong answers among them.
    """
    coverage, risk = risk_coverage(confidences, is_correct)
    with svg_plot(3.6, 3.6) as plot:
        axes = plot.axes
        # From 0 on, so that photos of one confidence are a line too.
        axes.plot([0, *coverage], [risk[0], *risk], color=BLUE, drawstyle="steps-pre")
        if chosen is not None:
            label = "handler.min_probability"
            axes.plot(*chosen, color=ORANGE, marker="o", ls="", label=label, clip_on=False)
            axes.legend(frameon=False)
        axes.set_xlabel("share of photos answered, surest first")
        axes.set_ylabel("share of wrong answers")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, max(0.05, *(1.1 * share for share in risk)))
    return plot.url


def _accuracy_by_confidence(
    confidences: Sequence[float], is_correct: Sequence[bool]
) -> list[tuple[float, float]]:
    """Return mean confidence and accuracy of each bin that is not empty."""
    confidence, correct = torch.tensor(confidences), torch.tensor(is_correct, dtype=torch.float32)
    bins = (confidence * RELIABILITY_BINS).long().clamp(max=RELIABILITY_BINS - 1)
    return [
        (confidence[bins == index].mean().item(), correct[bins == index].mean().item())
        for index in sorted(set(bins.tolist()))
    ]
