"""Drawings for pages that are read in light and in dark: neutral ink, nothing behind it."""

import base64
import io
from typing import Any

import matplotlib

# Legible on a light and on a dark page alike.
INK, FIRST, SECOND = "#808890", "#2f81f7", "#e8762d"


def new_figure(width_in: float, height_in: float, *, columns: int = 1) -> tuple[Any, Any]:
    """Return a matplotlib figure and its axes; an array of axes where there are several columns."""
    from matplotlib.figure import Figure

    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        return figure, figure.subplots(1, columns)


def style() -> Any:
    """Return matplotlib's settings for such a drawing. Names are the user's: a dollar sign in one starts no formula."""
    keys = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    return {**dict.fromkeys(keys, INK), "text.parse_math": False}


def svg_url(figure: Any) -> str:
    """Return the drawing as a data URL: sharp at any size, transparent where nothing is drawn."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode()
