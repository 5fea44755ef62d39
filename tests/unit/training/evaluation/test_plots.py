"""A plot of very many classes stays small, and one of long class names stays a plot."""

import base64
from typing import Any

import pytest

from reports import figures
from training.evaluation.plots import draw_confusion


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
