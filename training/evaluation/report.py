"""report.html of a run: one file that opens offline, in light and dark, on a phone and on a desk."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handlers.engines.explanation import Explanation, grad_cam
from handlers.engines.network import Network
from handlers.errors import InvalidRequestError
from handlers.images.decoding import decode_photo
from handlers.images.preprocessing import load_pixels
from reports.page import describe_environment, render
from training.data.dataset import preprocessing_of
from training.evaluation.confusion import Confused, most_confused
from training.evaluation.evaluation import load_network
from training.evaluation.plots import (
    COUNTED_CLASSES_MAX,
    draw_confusion,
    draw_curves,
    draw_reliability,
)
from training.run import Run, open_finished_run, read_json, write_beside

TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
MISTAKES_SHOWN = 12
THUMBNAIL_SIDE_PX = 200
LIBRARIES = ("torch", "torchvision", "pillow", "numpy", "onnxruntime")


def write_report(run_folder: Path) -> Path:
    """Return the report of an evaluated run.

    Raises:
        RunError: no finished run, or it was not evaluated. OSError: the file cannot be written.
    """
    run = open_finished_run(run_folder)
    evaluation = run.evaluation()
    judged = evaluation["photos"]
    write_beside(
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
                [one["guesses"][0]["index"] == one["label"] for one in judged],
                before=[one["confidence_before"] for one in judged],
                after=[one["guesses"][0]["probability"] for one in judged],
            ),
            confused=_confused(evaluation),
            mistakes=list(_mistakes(run, evaluation)),
        ),
    )
    return run.report_path


def _confused(evaluation: dict[str, Any]) -> list[Confused]:
    """Return the pairs of classes to be told in words, where the matrix has no numbers."""
    if len(evaluation["class_names"]) <= COUNTED_CLASSES_MAX:
        return []
    return most_confused(evaluation["class_names"], evaluation["confusion"])


def _mistakes(run: Run, evaluation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the wrong answers, most confident first: photo, what spoke for the answer, and words."""
    found = []
    for photo in evaluation["photos"]:
        best = photo["guesses"][0]
        if best["index"] != photo["label"]:
            found.append((best["probability"], best["index"], photo))
    found.sort(key=lambda one: -one[0])
    names = evaluation["class_names"]
    network, spec = load_network(run), preprocessing_of(run.config())
    for confidence, answered, photo in found[:MISTAKES_SHOWN]:
        path = Path(photo["path"])
        yield {
            "confidence": confidence,
            "answered": names[answered],
            "true": names[photo["label"]],
            "path": path,
            "image": _data_url(decode_photo(path.read_bytes(), shorter_side_px=160)),
            "heat": _heat(network, load_pixels(path.read_bytes(), spec), answered),
        }


def _heat(network: Network, pixels: np.ndarray, index: int) -> str | None:
    """Return the square the network saw with Grad-CAM over it; None where there is no map to show."""
    try:
        heat = grad_cam(network, pixels, index)
    except InvalidRequestError:
        return None
    shown = Explanation(label="", index=index, probability=0.0, heat=heat, pixels=pixels)
    return _data_url(Image.open(io.BytesIO(shown.overlay_png())))


def _data_url(image: Image.Image) -> str:
    image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
