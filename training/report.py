"""report.html of a run: one file that opens offline, in light and dark, on a phone and on a desk."""

import base64
import io
from pathlib import Path
from typing import Any

from reports.figures import FIRST, INK, SECOND, new_figure, svg_url
from reports.page import describe_environment, render
from training.run import Run, open_finished_run, read_json, write_beside

TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
MISTAKES_SHOWN = 12
RELIABILITY_BINS = 10
LIBRARIES = ("torch", "torchvision", "pillow", "numpy", "onnxruntime")


def write_report(run_folder: Path) -> Path:
    """Return the report of an evaluated run.

    Raises:
        RunError: no finished run, or it was not evaluated. OSError: the file cannot be written.
    """
    run = open_finished_run(run_folder)
    evaluation = run.evaluation()
    write_beside(
        run.report_path,
        render(
            TEMPLATE,
            run=run_folder.name,
            evaluation=evaluation,
            data=read_json(run.data_path),
            config=run.config().to_dict(),
            environment=describe_environment(LIBRARIES),
            curves=_curves(run),
            confusion=_confusion(evaluation),
            reliability=_reliability(evaluation),
            mistakes=_mistakes(evaluation),
        ),
    )
    return run.report_path


def _curves(run: Run) -> str:
    history = run.history()
    epochs = [line["epoch"] for line in history]
    figure, axes = new_figure(7, 3.2)
    axes.plot(epochs, [line["train_loss"] for line in history], color=FIRST, label="loss, train")
    axes.plot(epochs, [line["val_loss"] for line in history], color=SECOND, label="loss, val")
    axes.plot(
        epochs,
        [line["val_accuracy"] for line in history],
        color=SECOND,
        ls="--",
        label="accuracy, val",
    )
    frozen = sum(line["frozen"] for line in history)
    if 0 < frozen < len(history):
        axes.axvline(frozen + 0.5, color=INK, lw=0.8)
        axes.text(frozen + 0.6, axes.get_ylim()[1], "whole network", va="top", color=INK)
    axes.set_xlabel("epoch")
    axes.legend(frameon=False, labelcolor=INK)
    return svg_url(figure)


def _confusion(evaluation: dict[str, Any]) -> str:
    names, matrix = evaluation["class_names"], evaluation["confusion"]
    side_in = max(3.2, 0.45 * len(names) + 1.5)
    figure, axes = new_figure(side_in, side_in)
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            colour = "white" if shares[row][column] > 0.5 else "#30363d"
            axes.text(column, row, count, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    return svg_url(figure)


def _reliability(evaluation: dict[str, Any]) -> str:
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(RELIABILITY_BINS)]
    for photo in evaluation["photos"]:
        confidence = max(photo["probabilities"])
        is_right = photo["probabilities"].index(confidence) == photo["label"]
        bins[min(RELIABILITY_BINS - 1, int(confidence * RELIABILITY_BINS))].append(
            (confidence, is_right)
        )
    filled = [one for one in bins if one]
    figure, axes = new_figure(3.6, 3.6)
    axes.plot([0, 1], [0, 1], color=INK, lw=0.8)
    axes.plot(
        [sum(c for c, _ in one) / len(one) for one in filled],
        [sum(right for _, right in one) / len(one) for one in filled],
        color=FIRST,
        marker="o",
    )
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return svg_url(figure)


def _mistakes(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the wrong answers, most confident first, with their photos inside."""
    found = []
    for photo in evaluation["photos"]:
        confidence = max(photo["probabilities"])
        answered = photo["probabilities"].index(confidence)
        if answered != photo["label"]:
            found.append((confidence, answered, photo))
    found.sort(key=lambda one: -one[0])
    names = evaluation["class_names"]
    return [
        {
            "confidence": confidence,
            "answered": names[answered],
            "true": names[photo["label"]],
            "path": photo["path"],
            "image": _thumbnail(Path(photo["path"])),
        }
        for confidence, answered, photo in found[:MISTAKES_SHOWN]
    ]


def _thumbnail(path: Path) -> str:
    from handlers.decoding import decode_photo

    image = decode_photo(path.read_bytes(), shorter_side_px=160)
    image.thumbnail((200, 200))
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
