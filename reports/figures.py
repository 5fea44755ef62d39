"""Plots for pages read in light and dark mode: neutral text colour, transparent background, SVG in a data URL."""

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

# Legible on a light and on a dark page.
INK, BLUE, ORANGE = "#808890", "#2f81f7", "#e8762d"


class SvgPlot:
    """A matplotlib figure with one pair of axes, and its data URL once it is drawn."""

    def __init__(self, width_in: float, height_in: float) -> None:
        self.figure, self.axes = new_figure(width_in, height_in)
        self.url = ""


@contextmanager
def svg_plot(width_in: float, height_in: float) -> Iterator[SvgPlot]:
    """Yield a plot to draw on; when the block ends its `url` is set.

    `rc_params` apply inside the block too, because matplotlib reads them when a text is created.
    """
    with matplotlib.rc_context(rc_params()), warnings.catch_warnings():
        # Glyphs are missing only in matplotlib's own font, which measures the text; the browser draws it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        plot = SvgPlot(width_in, height_in)
        yield plot
        plot.url = svg_url(plot.figure)


def new_figure(width_in: float, height_in: float, *, columns: int = 1) -> tuple[Any, Any]:
    """Return a matplotlib figure and its axes; with several columns, an array of axes."""
    from matplotlib.figure import Figure

    with matplotlib.rc_context(rc_params()):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        return figure, figure.subplots(1, columns)


def rc_params() -> Any:
    """Return matplotlib's rcParams for these plots; a dollar sign in a class name does not start a formula."""
    keys = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    # Text stays text in the SVG, so that the browser finds a font for names in any script.
    return {**dict.fromkeys(keys, INK), "text.parse_math": False, "svg.fonttype": "none"}


def svg_url(figure: Any) -> str:
    """Return the figure as the data URL of an SVG with a transparent background."""
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode()
