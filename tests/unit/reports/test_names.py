"""Long class names in plots and tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.names import LABEL_WIDTH, name_width, shorten_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("t-shirt", "t-shirt"),
        ("a" * 24, "a" * 24),
        ("a" * 25, "a" * 11 + "…" + "a" * 12),
        ("photos_of_2026/shoes_left" + "x" * 175, "photos_of_2" + "…" + "x" * 12),
        ("服" * 12, "服" * 12),
        ("服" * 200, "服" * 5 + "…" + "服" * 6),
    ],
)
def test_a_long_name_keeps_both_its_ends(name: str, shown: str) -> None:
    assert shorten_name(name) == shown


@given(st.text(max_size=300), st.integers(min_value=3, max_value=100))
def test_no_name_is_wider_than_its_place(name: str, width: int) -> None:
    shown = shorten_name(name, width)
    assert name_width(shown) <= width
    assert (shown == name) == (name_width(name) <= width)
    assert name_width(shorten_name(name)) <= LABEL_WIDTH
