"""Measure a run on its held-out test photos and write its report.

Example:
    headswap evaluate runs/first
    headswap evaluate runs/first --data other-photos
    headswap evaluate runs/first --target-accuracy 0.99 --negatives photos-of-other-things

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
    accepted_share: float = 0.95
    """Of photos of the classes, that the unknown score accepts: its threshold is chosen on val."""
    negatives: Path | None = None
    """Folder of photos of other things, to see how many of them the unknown score finds; it is not fitted to them."""
    target_accuracy: float | None = None
    """Print from which probability on the answers are right that often, chosen on val, and how many are answered."""


def run(command: Command) -> int:
    from training.distributed import require_single_process
    from training.evaluation.evaluation import evaluate
    from training.evaluation.report import write_report
    from training.tracking.tracking import track_report

    require_single_process("evaluate")
    if command.labels is not None and command.data is None:
        raise ArgumentError(
            "--labels needs --data: a run remembers its own photos and labels. Give --data FOLDER."
        )
    for flag, share in (
        ("--accepted-share", command.accepted_share),
        ("--target-accuracy", command.target_accuracy),
    ):
        if share is not None and not 0 < share < 1:
            raise ArgumentError(f"{flag} must be above 0 and below 1, not {share}.")
    evaluation = evaluate(
        command.run,
        data=command.data,
        labels=command.labels,
        split=command.split,
        accepted_share=command.accepted_share,
        negatives=command.negatives,
        target_accuracy=command.target_accuracy,
        report=stderr.print,
    )
    show(evaluation)
    if command.target_accuracy is not None:
        _show_abstention(evaluation, command.target_accuracy)
    stdout.print(f"{write_report(command.run)}")
    track_report(command.run, warn=stderr.print)
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
    _show_unknown(evaluation)


def _show_unknown(evaluation: "Evaluation") -> None:
    unknown = evaluation.unknown
    if not unknown:
        return
    accepted = unknown["accepted_share"]
    stdout.print(
        f"unknown score: accepts {unknown['evaluated_accepted_share']:.1%} of the {evaluation.split} photos; expected "
        f"{accepted['expected']:.1%} +- {accepted['deviation']:.1%}, from {accepted['n']} val photos"
    )
    if "left_out_auroc" in unknown:
        stdout.print(
            f"unknown score: AUROC {unknown['left_out_auroc']:.3f} +- {unknown['left_out_auroc_deviation']:.3f} for a "
            f"class left out ({unknown['left_out_classes']} classes), highest probability "
            f"{unknown['left_out_auroc_of_max_probability']:.3f}"
        )
    if "negatives" in unknown:
        negatives = unknown["negatives"]
        stdout.print(
            f"unknown score: finds {negatives['unknown_share']:.1%} of the {negatives['n']} negatives, AUROC "
            f"{negatives['auroc']:.3f}, highest probability {negatives['auroc_of_max_probability']:.3f}; to find "
            f"{negatives['found_share']:.0%}: --accepted-share {negatives['accepted_share_where_found']:.2f}"
        )


def _show_abstention(evaluation: "Evaluation", target_accuracy: float) -> None:
    abstention = evaluation.abstention
    if abstention is None:
        stdout.print(f"no probability reaches an accuracy of {target_accuracy:g} on val")
        return
    stdout.print(
        f"accuracy {target_accuracy:g} on {abstention.val_n} val photos from probability "
        f"{abstention.min_probability:.4f} on (handler.min_probability); of the {evaluation.n} {evaluation.split} "
        f"photos {abstention.answered_share:.1%} are answered, {abstention.correct} of {abstention.answered} correctly"
    )


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
