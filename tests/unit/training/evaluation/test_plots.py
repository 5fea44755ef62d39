"""A plot of very many classes stays small, one of long class names stays a plot, and a curve shows its figures."""

import base64
from typing import Any

import pytest

from reports import figures
from training.evaluation.plots import draw_confusion, draw_risk_coverage


def test_a_confusion_matrix_of_a_thousand_classes_is_a_small_file() -> None:
    count = 1000
    matrix = [[int(row == column) for column in range(count)] for row in range(count)]
    url = draw_confusion([f"class {number}" for number in range(count)], matrix)
    assert len(base64.b64decode(url.partition(",")[2])) < 500_000


@pytest.mark.parametrize("count", [2, 5, 26])
@pytest.mark.parametrize("name", ["a", "W" * 200, "服" * 200, "two words " * 20])
def test_long_class_names_leave_the_matrix_its_place(
    count: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def keep(figure: Any) -> str:
        figure.draw_without_rendering()
        drawn.append(figure)
        return ""

    monkeypatch.setattr(figures, "svg_url", keep)
    draw_confusion([f"{name}{number}" for number in range(count)], [[1] * count] * count)
    (axes,) = drawn[0].axes
    width_in, height_in = axes.get_window_extent().size / drawn[0].dpi
    assert min(width_in, height_in) >= 1.2
    if count > 5:
        assert min(width_in, height_in) >= 0.5 * drawn[0].get_size_inches()[0]


@pytest.mark.parametrize("chosen", [None, (0.5, 0.25)])
def test_the_risk_coverage_curve_shows_the_wrong_answers_among_the_surest(
    chosen: tuple[float, float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "svg_url", lambda figure: drawn.append(figure) or "url")
    url = draw_risk_coverage([True, False, True, True], [0.9, 0.8, 0.8, 0.3], chosen=chosen)
    assert url == "url"
    (axes,) = drawn[0].axes
    curve, *marks = axes.lines
    assert list(curve.get_xdata()) == [0, 0.25, 0.75, 1]
    assert list(curve.get_ydata()) == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert [(*mark.get_xdata(), *mark.get_ydata()) for mark in marks] == (
        [chosen] if chosen else []
    )
    assert axes.get_ylim()[1] > 1 / 3


def test_a_single_photo_has_a_curve() -> None:
    assert draw_risk_coverage([False], [0.5]).startswith("data:image/svg+xml")
