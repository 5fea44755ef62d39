"""The drawings of a run's report, each an SVG inside a data URL."""

from collections.abc import Sequence
from typing import Any

import torch

from reports.figures import FIRST, INK, SECOND, drawing

RELIABILITY_BINS = 10
# With more classes than this their numbers could not be read.
COUNTED_CLASSES_MAX = 25
# And with more than this, neither their names: a million squares would also be a page of 200 MB.
NAMED_CLASSES_MAX = 100
PICTURE_SIDE_IN = 6.0


def draw_curves(history: Sequence[dict[str, Any]]) -> str:
    """Return losses and accuracy by epoch, from the lines of metrics.jsonl."""
    epochs = [line["epoch"] for line in history]
    with drawing(7, 3.2) as made:
        axes = made.axes
        for name, colour, style, label in (
            ("train_loss", FIRST, "-", "loss, train"),
            ("val_loss", SECOND, "-", "loss, val"),
            ("val_accuracy", SECOND, "--", "accuracy, val"),
        ):
            values = [line[name] for line in history]
            axes.plot(epochs, values, color=colour, ls=style, marker=".", label=label)
        frozen = sum(line["frozen"] for line in history)
        if 0 < frozen < len(history):
            axes.axvline(frozen + 0.5, color=INK, lw=0.8)
            above = axes.get_xaxis_transform()
            axes.text(frozen + 0.5, 1.01, "whole network", va="bottom", transform=above)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.legend(frameon=False)
    return made.url


def draw_confusion(class_names: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Return the matrix, its rows the true classes and each row's share in blue."""
    is_counted = len(class_names) <= COUNTED_CLASSES_MAX
    side_in = max(3.6, (0.45 if is_counted else 0.2) * len(class_names) + 1.5)
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    if len(class_names) > NAMED_CLASSES_MAX:
        return _draw_as_picture(shares)
    with drawing(side_in, side_in) as made:
        axes = made.axes
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
        for row, counts in enumerate(matrix if is_counted else []):
            for column, count in enumerate(counts):
                colour = "white" if shares[row][column] > 0.5 else "#30363d"
                axes.text(
                    column + 0.5, row + 0.5, str(count), ha="center", va="center", color=colour
                )
        places = [index + 0.5 for index in range(len(class_names))]
        axes.set_xticks(places, class_names, rotation=45, ha="right")
        axes.set_yticks(places, class_names)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set_xlabel("answered")
        axes.set_ylabel("true")
    return made.url


def _draw_as_picture(shares: Sequence[Sequence[float]]) -> str:
    with drawing(PICTURE_SIDE_IN, PICTURE_SIDE_IN) as made:
        made.axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        made.axes.set_xlabel("answered, class by number")
        made.axes.set_ylabel("true, class by number")
    return made.url


def draw_reliability(
    right: Sequence[bool], *, before: Sequence[float], after: Sequence[float]
) -> str:
    """Return the share of photos right by confidence, which was such before and after the temperature."""
    with drawing(3.6, 3.6) as made:
        axes = made.axes
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8)
        for shown, colour, style, label in (
            (before, SECOND, "--", "before"),
            (after, FIRST, "-", "after temperature"),
        ):
            points = _share_right_by_confidence(shown, right)
            axes.plot(*zip(*points, strict=True), color=colour, ls=style, marker="o", label=label)
        axes.set_xlabel("confidence")
        axes.set_ylabel("share right")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.legend(frameon=False)
    return made.url


def _share_right_by_confidence(
    shown: Sequence[float], right: Sequence[bool]
) -> list[tuple[float, float]]:
    """Return mean confidence and share right of each bin that is not empty."""
    confidence, share = torch.tensor(shown), torch.tensor(right, dtype=torch.float32)
    bins = (confidence * RELIABILITY_BINS).long().clamp(max=RELIABILITY_BINS - 1)
    return [
        (confidence[bins == one].mean().item(), share[bins == one].mean().item())
        for one in sorted(set(bins.tolist()))
    ]
