"""The measured parts of docs/benchmarks.md and README.md: each between two marks with its name, held true by tests."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"


def quoted(name: str, *, path: Path = PATH) -> str:
    """Return what stands between the marks."""
    begin, end = _marks(name)
    return path.read_text().partition(begin)[2].partition(end)[0]


def put(name: str, text: str, *, path: Path = PATH) -> None:
    """Replace what stands between the marks by the text."""
    begin, end = _marks(name)
    head, _, rest = path.read_text().partition(begin)
    path.write_text(f"{head}{begin}{text}{end}{rest.partition(end)[2]}")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
