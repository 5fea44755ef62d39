"""Drawings for pages that are read in light and in dark: neutral ink, nothing behind it."""

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

# Legible on a light and on a dark page alike.
INK, FIRST, SECOND = "#808890", "#2f81f7", "#e8762d"


class Drawing:
    """A matplotlib figure with one pair of axes, and the data URL it became."""

    def __init__(self, width_in: float, height_in: float) -> None:
        self.figure, self.axes = new_figure(width_in, height_in)
        self.url = ""


@contextmanager
def drawing(width_in: float, height_in: float) -> Iterator[Drawing]:
    """Yield axes to draw on; afterwards the drawing's `url` holds it.

    What is written on them in between keeps the style too, which matplotlib asks for text by text.
    """
    with matplotlib.rc_context(style()), warnings.catch_warnings():
        # Only matplotlib's own font lacks them; it is used to measure, not to draw.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        made = Drawing(width_in, height_in)
        yield made
        made.url = svg_url(made.figure)


def new_figure(width_in: float, height_in: float, *, columns: int = 1) -> tuple[Any, Any]:
    """Return a matplotlib figure and its axes; an array of axes where there are several columns."""
    from matplotlib.figure import Figure

    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        return figure, figure.subplots(1, columns)


def style() -> Any:
    """Return matplotlib's settings for such a drawing. Names are the user's: a dollar sign in one starts no formula."""
    keys = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    # As text, so that the browser finds a font for names in any script.
    return {**dict.fromkeys(keys, INK), "text.parse_math": False, "svg.fonttype": "none"}


def svg_url(figure: Any) -> str:
    """Return the drawing as a data URL: sharp at any size, transparent where nothing is drawn."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode()
