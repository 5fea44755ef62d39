"""README.md's measured parts: each stands between two marks with its name, and tests hold it to the results."""

from pathlib import Path

PATH = Path(__file__).parents[1] / "README.md"


def quoted(name: str) -> str:
    """Return what stands between the marks."""
    begin, end = _marks(name)
    return PATH.read_text().partition(begin)[2].partition(end)[0]


def put(name: str, text: str) -> None:
    """Put the text between the marks instead of what stands there."""
    begin, end = _marks(name)
    head, _, rest = PATH.read_text().partition(begin)
    PATH.write_text(f"{head}{begin}{text}{end}{rest.partition(end)[2]}")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
