"""report.html of a run: one file that opens offline, in light and dark, on a phone and on a desk."""

import base64
import io
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import matplotlib

from training.run import Run, open_finished_run, read_json, write_beside

TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
MISTAKES_SHOWN = 12
RELIABILITY_BINS = 10
LIBRARIES = ("torch", "torchvision", "pillow", "numpy", "onnxruntime")
# Legible on a light and on a dark page alike.
INK, FIRST, SECOND = "#808890", "#2f81f7", "#e8762d"


def write_report(run_folder: Path) -> Path:
    """Return the report of an evaluated run.

    Raises:
        RunError: no finished run, or it was not evaluated. OSError: the file cannot be written.
    """
    run = open_finished_run(run_folder)
    evaluation = run.evaluation()
    page = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text())
    write_beside(
        run.report_path,
        page.render(
            run=run_folder.name,
            evaluation=evaluation,
            data=read_json(run.data_path),
            config=run.config().to_dict(),
            environment=_environment(),
            curves=_curves(run),
            confusion=_confusion(evaluation),
            reliability=_reliability(evaluation),
            mistakes=_mistakes(evaluation),
        ),
    )
    return run.report_path


def _environment() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), "machine": platform.platform(), **versions}


def _figure(width_in: float, height_in: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    ):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        return figure, figure.subplots()


def _svg(figure: Any) -> str:
    """Return the drawing as a data URL: sharp at any size, transparent where nothing is drawn."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode()


def _curves(run: Run) -> str:
    history = run.history()
    epochs = [line["epoch"] for line in history]
    figure, axes = _figure(7, 3.2)
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
    return _svg(figure)


def _confusion(evaluation: dict[str, Any]) -> str:
    names, matrix = evaluation["class_names"], evaluation["confusion"]
    side_in = max(3.2, 0.45 * len(names) + 1.5)
    figure, axes = _figure(side_in, side_in)
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
    return _svg(figure)


def _reliability(evaluation: dict[str, Any]) -> str:
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(RELIABILITY_BINS)]
    for photo in evaluation["photos"]:
        confidence = max(photo["probabilities"])
        is_right = photo["probabilities"].index(confidence) == photo["label"]
        bins[min(RELIABILITY_BINS - 1, int(confidence * RELIABILITY_BINS))].append(
            (confidence, is_right)
        )
    filled = [one for one in bins if one]
    figure, axes = _figure(3.6, 3.6)
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
    return _svg(figure)


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
