"""report.html of a run: one file that opens offline, in light or dark mode, on a phone or a desktop."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handlers.engines.explanation import GradCamExplanation
from handlers.engines.grad_cam import grad_cam
from handlers.engines.network import Network
from handlers.errors import InvalidRequestError
from reports.page import describe_environment, render
from storage import atomic_write
from training.data.checked import decode_checked, load_checked
from training.data.dataset import preprocessing_of
from training.evaluation.evaluation import load_network
from training.evaluation.metrics import ConfusedPair, most_confused
from training.evaluation.plots import (
    COUNTED_CLASSES_MAX,
    draw_confusion,
    draw_curves,
    draw_reliability,
    draw_risk_coverage,
)
from training.run import Run, open_finished_run, read_json

TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
MISTAKES_SHOWN = 12
THUMBNAIL_SIDE_PX = 200
LIBRARIES = ("torch", "torchvision", "pillow", "numpy", "onnxruntime")


def write_report(run_folder: Path) -> Path:
    """Write report.html of an evaluated run and return its path.

    Raises:
        RunError: not a finished run, or it has not been evaluated. OSError: the file cannot be written.
    """
    run = open_finished_run(run_folder)
    evaluation = run.evaluation()
    predictions = evaluation["photos"]
    is_correct = [_top_class(photo)["index"] == photo["label"] for photo in predictions]
    confidences = [_top_class(photo)["probability"] for photo in predictions]
    atomic_write(
        run.report_path,
        render(
            TEMPLATE,
            run=run_folder.name,
            evaluation=evaluation,
            data=read_json(run.data_path),
            config=run.config().to_dict(),
            environment=describe_environment(LIBRARIES),
            curves=draw_curves(run.history()),
            confusion=draw_confusion(evaluation["class_names"], evaluation["confusion"]),
            reliability=draw_reliability(
                is_correct,
                before=[photo["confidence_before"] for photo in predictions],
                after=confidences,
            ),
            risk_coverage=draw_risk_coverage(is_correct, confidences, chosen=_chosen(evaluation)),
            confused_pairs=_confused_pairs(evaluation),
            mistakes=list(_mistakes(run, evaluation)),
        ),
    )
    return run.report_path


def _top_class(photo: dict[str, Any]) -> dict[str, Any]:
    top_class: dict[str, Any] = photo["top_classes"][0]
    return top_class


def _chosen(evaluation: dict[str, Any]) -> tuple[float, float] | None:
    """Return the shares of photos answered and of wrong answers among them, where a threshold is chosen."""
    abstention = evaluation.get("abstention")
    if not abstention or not abstention["answered"]:
        return None
    return abstention["answered_share"], 1 - abstention["correct"] / abstention["answered"]


def _confused_pairs(evaluation: dict[str, Any]) -> list[ConfusedPair]:
    """Return the pairs of classes to list where the confusion matrix shows no counts."""
    if len(evaluation["class_names"]) <= COUNTED_CLASSES_MAX:
        return []
    return most_confused(evaluation["class_names"], evaluation["confusion"])


def _mistakes(run: Run, evaluation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the wrong predictions, most confident first: photo, Grad-CAM heat map and names."""
    wrong = [
        photo for photo in evaluation["photos"] if _top_class(photo)["index"] != photo["label"]
    ]
    wrong.sort(key=lambda photo: -_top_class(photo)["probability"])
    names = evaluation["class_names"]
    network, spec = load_network(run), preprocessing_of(run.config())
    for photo in wrong[:MISTAKES_SHOWN]:
        path, predicted = Path(photo["path"]), _top_class(photo)["index"]
        yield {
            "confidence": _top_class(photo)["probability"],
            "predicted": names[predicted],
            "true": names[photo["label"]],
            "path": path,
            "image": _data_url(
                decode_checked(path, shorter_side_px=160, grey_range=spec.grey_range)
            ),
            "heat_map": _heat_map(network, load_checked(path, spec), predicted),
        }


def _heat_map(network: Network, pixels: np.ndarray, index: int) -> str | None:
    """Return the network's input, `(S, S, 3) uint8`, with Grad-CAM laid over it; None if the network has no map."""
    try:
        heat = grad_cam(network, pixels, index)
    except InvalidRequestError:
        return None
    explanation = GradCamExplanation(
        label="", index=index, probability=0.0, heat=heat, pixels=pixels
    )
    return _data_url(Image.open(io.BytesIO(explanation.overlay_png())))


def _data_url(image: Image.Image) -> str:
    image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
