"""Puts the tables of benchmarks/comparison-*.json between README.md's two marks; a test holds them equal.

The files are what headswap compare leaves as comparison.json, on all clothing photos and on 30 of each class:

headswap compare --data CLOTHING --models resnet18 --weights embedded --seeds 1 --image-size-px 96 \
    --head-epochs 3 --epochs 6
headswap compare --data CLOTHING --models resnet18 efficientnet_b0 --weights embedded none --image-size-px 96 \
    --head-epochs 10 --epochs 5 --photos-per-class 30
python -m benchmarks.training_tables

The second was measured before compare gave all contenders equally many epochs: the table says what each had.
"""

import json
from pathlib import Path

from training.comparison_table import markdown_table, read_comparison

ROOT = Path(__file__).parents[1]
RESULTS = tuple(Path(__file__).with_name(f"comparison-{photos}.json") for photos in ("all", "few"))
BEGIN, END = "<!-- comparison: begin -->\n", "<!-- comparison: end -->"


def render() -> str:
    """Return the tables as Markdown."""
    return "\n".join(
        markdown_table(read_comparison(json.loads(path.read_text()))) for path in RESULTS
    )


def quoted(readme: str) -> str:
    """Return what stands between the marks."""
    return readme.partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    path = ROOT / "README.md"
    head, _, rest = path.read_text().partition(BEGIN)
    path.write_text(f"{head}{BEGIN}{render()}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
