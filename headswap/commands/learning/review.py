"""Say which captured photos to label next, most useful first.

Example:
    headswap review captured --suggest 50
    headswap review captured --suggest 50 --out next.csv
    headswap review captured --labels next.csv

A photo is useful if the served version was unsure of it, and if it is unlike the photos that are labelled and unlike
the others suggested. The page shows the photos in the same order. Without --suggest it says what was captured.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headswap.errors import ArgumentError
from headswap.output import print_table, stderr, stdout

if TYPE_CHECKING:
    from capture.answers import CapturedPhoto


@dataclass(frozen=True, kw_only=True)
class Command:
    captured: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FOLDER")]]
    """The folder of `headswap serve --capture`."""
    suggest: int = 0
    """Suggest this many photos."""
    out: Path | None = None
    """Write the suggested photos to this CSV file too: path, an empty label, predicted class, probability, outcome."""
    labels: Path | None = None
    """Label the photos of this CSV file of path,label, such as --out with labels filled in. A label may be a new class,
    or 'none of these'; photos with an empty one stay as they are."""


def run(command: Command) -> int:
    from capture.answers import read_captured
    from capture.label_table import label_listed
    from capture.labels import NONE_LABEL, LabelBook
    from capture.order import write_suggested

    if command.suggest < 0:
        raise ArgumentError(f"--suggest must be 0 or more photos, not {command.suggest}.")
    if command.out is not None and command.out.exists():
        raise ArgumentError(
            f"--out {str(command.out)!r} exists already, perhaps with labels; give another."
        )
    captured = read_captured(command.captured)
    if command.labels is not None:
        count = label_listed(command.captured, captured, command.labels)
        stdout.print(f"{count} photos labelled by {command.labels}")
    labels = LabelBook(command.captured).read()
    counts = Counter(label.class_name or NONE_LABEL for label in labels.values())
    of_class = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    stderr.print(
        f"{len(captured)} photos captured, {len(labels)} labelled{f': {of_class}' if of_class else ''}"
    )
    if command.suggest == 0:
        return 0
    # Sorted, for the order in which workers wrote them is chance, and the same photos must be suggested each time.
    waiting = sorted(
        (photo for photo in captured if photo.sha256 not in labels), key=lambda p: p.sha256
    )
    chosen = [waiting[index] for index in _choose(command, waiting)]
    write_suggested(command.captured, [photo.sha256 for photo in chosen])
    rows = [
        (str(p.path), p.predictions[0].label, f"{p.confidence:.3f}", p.outcome or "")
        for p in chosen
    ]
    _print(rows)
    if command.out is not None:
        _write(command.out, rows)
    stdout.print("Next: label them on the page (headswap page), then headswap improve")
    return 0


def _choose(command: Command, waiting: "Sequence[CapturedPhoto]") -> list[int]:
    from capture.labels import LabelBook
    from headswap.improve.suggestion import suggest, uncertainties
    from training.config import TrainConfig
    from training.data.dataset import preprocessing_of
    from training.data.photos import Photo
    from training.data.source import NO_LABEL
    from training.fit.starting_network import embedded_features

    labels = LabelBook(command.captured).read()
    paths = [photo.path for photo in waiting]
    paths += [command.captured / label.path for label in labels.values()]
    photos = [Photo(path=p, label=NO_LABEL, split="train", sha256=p.stem) for p in paths]
    if not waiting:
        return []
    default = TrainConfig(data=command.captured)
    features = embedded_features(
        photos, architecture=default.architecture, preprocessing=preprocessing_of(default)
    ).numpy()
    count = len(waiting)
    unsure = uncertainties([p.confidence for p in waiting], [p.is_unknown for p in waiting])
    return suggest(features[:count], unsure, features[count:], count=command.suggest)


def _print(rows: list[tuple[str, str, str, str]]) -> None:
    from rich.table import Table

    table = Table("photo", "predicted", "probability", "outcome")
    for row in rows:
        table.add_row(*row)
    print_table(table)


def _write(path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    from storage.atomic import atomic_write
    from training.audit.tables import write_table

    head = ("path", "label", "predicted", "probability", "outcome")
    atomic_write(path, write_table([head, *((photo, "", *rest) for photo, *rest in rows)]))
