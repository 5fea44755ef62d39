"""Compare networks, initial weights and frozen against fine-tuned backbones, over several seeds.

Example:
    headswap compare --data photos --models resnet18 efficientnet_lite1 --weights imagenet none --seeds 3

Every combination is trained with the same flags and evaluated on test. Finished runs are kept, so a comparison that
was interrupted resumes when it is started again. --out then holds comparison.md, .json and .svg.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from handlers.images.preprocessing import Fit
from headswap.output import stderr, stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    data: Path
    """Folder of class folders, or of train/, val/ and test/ with class folders in each."""
    out: Path = Path("runs/compare")
    """Folder for the runs and for the comparison."""
    models: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODEL ...")] = (
        "resnet18",
        "efficientnet_lite1",
    )
    """efficientnet_lite0, 1 or 2, or torchvision classification models."""
    weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="WEIGHTS ...")] = ("imagenet", "none")
    """Initial weights: imagenet, embedded, none (from scratch), or files. EfficientNet-Lite's are ImageNet's and
    included: imagenet and embedded are the same."""
    freeze: tuple[Literal["none", "backbone"], ...] = ("none", "backbone")
    """none: train the whole network. backbone: train the head alone; skipped with --weights none."""
    seeds: int = 3
    """Runs per combination, each with a seed of its own."""
    labels: Path | None = None
    """CSV file of path,label or path,label,split, instead of class folders; see `headswap train --help`."""
    fit: Fit = "crop"
    """crop: the centre of each photo. pad, stretch: the whole photo; see `headswap train --help`."""
    image_size_px: int = 160
    """Side length of the networks' square input."""
    head_epochs: int = 5
    """Epochs of the head alone, before those of the whole network."""
    epochs: int = 10
    """Epochs of the whole network. With --weights none or --freeze backbone, --head-epochs are added to them."""
    group_by: str | None = None
    """Keep groups of photos in one split: folder, exif-burst or a regular expression; see `headswap train --help`."""
    photos_per_class: int = 0
    """Train on at most this many photos per class; 0 uses all."""


def run(command: Command) -> int:
    from storage import atomic_write
    from training.compare.comparison import compare, list_candidates
    from training.compare.table import draw, markdown_table
    from training.config import quick
    from training.distributed import require_single_process

    require_single_process("compare")
    shared = replace(
        quick(),
        data=command.data,
        out=command.out,
        labels=command.labels,
        fit=command.fit,
        image_size_px=command.image_size_px,
        head_epochs=command.head_epochs,
        epochs=command.epochs,
        photos_per_class=command.photos_per_class,
        group_by=command.group_by,
    )
    candidates = list_candidates(command.models, command.weights, command.freeze)
    comparison = compare(candidates, shared, seed_count=command.seeds, report=stderr.print)
    table = markdown_table(comparison)
    atomic_write(command.out / "comparison.md", table)
    draw(comparison).savefig(command.out / "comparison.svg", transparent=True)
    stdout.print(table)
    stdout.print(f"Also in {command.out}: comparison.md, comparison.json, comparison.svg")
    return 0
