"""Compare networks, starting weights and what of them learns, over several seeds.

Example:
    headswap compare --data photos --models resnet18 efficientnet_b0 --weights imagenet none --seeds 3

Every combination is trained with the same flags and judged on test. A finished run is kept: stopped
and started again, the comparison goes on. --out then holds comparison.md, .json and .svg.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from headswap.output import stderr, stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    data: Path
    """Folder of class folders, or of train/, val/ and test/ with class folders in each."""
    out: Path = Path("runs/compare")
    """Folder of the runs and of what comes out of them."""
    models: tuple[str, ...] = ("resnet18", "efficientnet_b0")
    """torchvision classifiers."""
    weights: tuple[str, ...] = ("imagenet", "none")
    """Starts: imagenet, embedded, none (from scratch), files."""
    freeze: tuple[Literal["none", "body"], ...] = ("none", "body")
    """none: everything learns. body: the head alone; left out from scratch."""
    seeds: int = 3
    """Runs of each combination."""
    image_size_px: int = 160
    """Side of the square the networks see."""
    head_epochs: int = 5
    """Epochs of the head alone, where the whole network learns after it."""
    epochs: int = 10
    """Epochs of the whole network after that. From scratch it learns in all of both, a head alone too."""
    photos_per_class: int = 0
    """Learn from at most so many photos of a class; 0 takes all."""


def run(command: Command) -> int:
    from training.compare.comparison import compare, list_candidates
    from training.compare.table import draw, markdown_table
    from training.config import quick
    from training.distributed import refuse_several
    from training.run import write_beside

    refuse_several("compare")
    shared = replace(
        quick(),
        data=command.data,
        out=command.out,
        image_size_px=command.image_size_px,
        head_epochs=command.head_epochs,
        epochs=command.epochs,
        photos_per_class=command.photos_per_class,
    )
    candidates = list_candidates(command.models, command.weights, command.freeze)
    comparison = compare(candidates, shared, seed_count=command.seeds, say=stderr.print)
    table = markdown_table(comparison)
    write_beside(command.out / "comparison.md", table)
    draw(comparison).savefig(command.out / "comparison.svg", transparent=True)
    stdout.print(table)
    stdout.print(f"Also in {command.out}: comparison.md, comparison.json, comparison.svg")
    return 0
