"""Measure a run on its held-out test photos and write its report.

Example:
    headswap evaluate runs/first
    headswap evaluate runs/first --data other-photos

Prints accuracy with its 95 % interval, the figures of each class and the confusion matrix; evaluation.json and
report.html in the run folder hold them too.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headswap.errors import ArgumentError
from headswap.options import RunPath
from headswap.output import print_table, stderr, stdout

if TYPE_CHECKING:
    from training.evaluation.evaluation import Evaluation


# A wider confusion matrix does not fit a terminal.
MATRIX_CLASSES_MAX = 15


@dataclass(frozen=True, kw_only=True)
class Command:
    run: RunPath
    """The run folder that `headswap train` created."""
    data: Path | None = None
    """Other photos of the same classes, or the run's own where they have moved; a folder or a dataset's name."""
    labels: Path | None = None
    """CSV file of path,label[,split] that lists the photos of --data, instead of class folders."""
    split: Literal["val", "test"] = "test"
    """Photos to evaluate on. Compare runs on val; report the figures of test."""


def run(command: Command) -> int:
    from training.distributed import require_single_process
    from training.evaluation.evaluation import evaluate
    from training.evaluation.report import write_report

    require_single_process("evaluate")
    if command.labels is not None and command.data is None:
        raise ArgumentError(
            "--labels needs --data: a run remembers its own photos and labels. Give --data FOLDER."
        )
    evaluation = evaluate(
        command.run,
        data=command.data,
        labels=command.labels,
        split=command.split,
        report=stderr.print,
    )
    show(evaluation)
    stdout.print(f"{write_report(command.run)}")
    stdout.print(f"Next: headswap export {command.run} --name NAME --version 1.0")
    return 0


def show(evaluation: "Evaluation") -> None:
    """Print accuracy with its interval, the figures of each class, and the confusion matrix."""
    from rich.table import Table

    low, high = evaluation.interval
    stdout.print(
        f"accuracy {evaluation.accuracy:.3f} (n = {evaluation.n} {evaluation.split} photos, 95 % interval "
        f"{low:.3f} to {high:.3f}), top-{evaluation.top_k} {evaluation.top_k_accuracy:.3f}, macro F1 "
        f"{evaluation.macro_f1:.3f}, calibration error {evaluation.calibration_error:.3f}"
    )
    if evaluation.left_out:
        offered = evaluation.n + evaluation.left_out
        stdout.print(
            f"left out {evaluation.left_out} of {offered} {evaluation.split} photos: the run was trained on or "
            "selected by them, or by others of their group"
        )
    table = Table("class", "photos", "precision", "recall", "F1")
    for row in evaluation.classes:
        table.add_row(
            row.name, str(row.n), f"{row.precision:.3f}", f"{row.recall:.3f}", f"{row.f1:.3f}"
        )
    print_table(table)
    _show_confusion(evaluation)


def _show_confusion(evaluation: "Evaluation") -> None:
    from rich.table import Table

    from reports.names import shorten_name
    from training.evaluation.metrics import most_confused

    if len(evaluation.class_names) > MATRIX_CLASSES_MAX:
        for pair in most_confused(evaluation.class_names, evaluation.confusion):
            stdout.print(f"{pair.count} of {pair.n} {pair.true} were predicted as {pair.predicted}")
        return
    names = [shorten_name(name) for name in evaluation.class_names]
    confusion = Table("true \\ predicted", *names)
    for name, row in zip(names, evaluation.confusion, strict=True):
        confusion.add_row(name, *map(str, row))
    print_table(confusion)
