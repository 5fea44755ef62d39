"""Judge a run on the test photos it has never seen, and write its report.

Example:
    headswap evaluate runs/first
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from headswap.output import stdout

if TYPE_CHECKING:
    from training.evaluation.evaluation import Evaluation


# A wider matrix does not fit a terminal.
MATRIX_CLASSES_MAX = 15


@dataclass(frozen=True, kw_only=True)
class Command:
    run: tyro.conf.Positional[Path]
    """The run folder that `headswap train` made."""
    data: Path | None = None
    """Other photos of the same classes, a folder or a dataset's name; the run's own by default."""
    split: Literal["val", "test"] = "test"
    """Which photos to judge on. Choose by val, tell of test."""


def run(command: Command) -> int:
    from training.distributed import refuse_several
    from training.evaluation.evaluation import evaluate
    from training.evaluation.report import write_report

    refuse_several("evaluate")
    evaluation = evaluate(command.run, data=command.data, split=command.split)
    show(evaluation)
    stdout.print(f"{write_report(command.run)}")
    stdout.print(f"Next: headswap export {command.run} --name NAME --version 1.0")
    return 0


def show(evaluation: "Evaluation") -> None:
    """Print accuracy with its interval, the classes one by one, and what was taken for what."""
    from rich.table import Table

    low, high = evaluation.interval
    stdout.print(
        f"accuracy {evaluation.accuracy:.3f} (n = {evaluation.n} {evaluation.split} photos, 95 % interval "
        f"{low:.3f} to {high:.3f}), top-{evaluation.top_k} {evaluation.top_k_accuracy:.3f}, macro F1 "
        f"{evaluation.macro_f1:.3f}, calibration error {evaluation.calibration_error:.3f}"
    )
    table = Table("class", "photos", "precision", "recall", "F1")
    for one in evaluation.classes:
        table.add_row(
            one.name, str(one.n), f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}"
        )
    stdout.print(table)
    _show_confusion(evaluation)


def _show_confusion(evaluation: "Evaluation") -> None:
    from rich.table import Table

    from training.evaluation.confusion import most_confused

    if len(evaluation.class_names) > MATRIX_CLASSES_MAX:
        for pair in most_confused(evaluation.class_names, evaluation.confusion):
            stdout.print(f"{pair.count} of {pair.n} {pair.true} were taken for {pair.answered}")
        return
    confusion = Table("true \\ answered", *evaluation.class_names)
    for name, row in zip(evaluation.class_names, evaluation.confusion, strict=True):
        confusion.add_row(name, *map(str, row))
    stdout.print(confusion)
