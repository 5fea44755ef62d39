"""What a run is worth: judged on test photos, with the pixels and network of serving."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torchmetrics.functional.classification import multiclass_confusion_matrix

from handlers.engines.network import Network, build_network
from handlers.images.preprocessing import PreprocessingSpec
from training.data.dataset import preprocessing_of, served_pixels
from training.data.photos import Photo, PhotoSet, Split, read_photos
from training.data.source import find_folder, read_data, read_labeled
from training.errors import RunError
from training.evaluation.calibration import calibration_error, fit_temperature
from training.run import Run, open_finished_run, write_json

BATCH_SIZE = 64
TOP_K = 3
GUESSES_KEPT = 5
# 95 % of a normal distribution lie within this many standard deviations.
Z_95 = 1.959964

EvaluatedSplit = Literal["val", "test"]


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    name: str
    n: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    index: int
    probability: float
    """Calibrated."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One photo: its path, its class, and what it was taken for."""

    path: str
    label: int
    guesses: list[ClassScore]
    """The 5 likeliest classes, best first: all 1000 probabilities of 2,000 photos would be 72 MB."""
    confidence_before: float
    """The best one's probability before the temperature."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Shares lie in 0..1; intervals are 95 % (Wilson, 1927)."""

    split: str
    n: int
    accuracy: float
    interval: tuple[float, float]
    top_k: int
    top_k_accuracy: float
    macro_f1: float
    calibration_error_before: float
    calibration_error: float
    temperature: float
    class_names: list[str]
    classes: list[ClassResult]
    confusion: list[list[int]]
    """Rows are the true classes, columns the answers."""
    val: dict[str, Any]
    photos: list[Prediction]
    weights_sha256: str
    """Of the best.safetensors that was judged."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load_network(run: Run, *, temperature: float = 1.0) -> Network:
    """Return the run's best network, float32 on the CPU, in evaluation mode."""
    config = run.config()
    network = build_network(
        architecture=config.architecture,
        class_count=len(run.data()["class_names"]),
        preprocessing=preprocessing_of(config),
        temperature=temperature,
    )
    try:
        network.backbone_and_head.load_state_dict(load_file(run.best_path))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{run.best_path} cannot be read: {reason}. Train anew.") from None
    return network.eval()


def evaluate(
    run_folder: Path, *, data: Path | None = None, split: EvaluatedSplit = "test"
) -> Evaluation:
    """Return how the run does on a split, and keep it as evaluation.json.

    The temperature is fitted on the run's own val photos. `data` is judged whole when it has no
    splits of its own, without those photos the run has learned from or was chosen by.

    Raises:
        RunError: no finished run, or photos of other classes.
        DataError: the photo folder cannot be used. DownloadError: a dataset could not be fetched.
    """
    run = open_finished_run(run_folder)
    config = run.config()
    network = load_network(run)
    spec = preprocessing_of(config)
    # Its unlabeled photos, perhaps very many, only have to be left out of photos that are not its own.
    own = read_labeled(config) if data is None else read_data(config)
    class_names = run.data()["class_names"]
    foreign = own
    if data is not None:
        foreign = read_photos(find_folder(data), seed=config.seed, unsplit_as=split)
    for photo_set in (own, foreign):
        _check_classes(photo_set, class_names)
    photos = foreign.of(split) if data is None else _unseen(foreign.of(split), own, split=split)
    val_logits, val_labels = compute_logits(network, own.of("val"), spec)
    temperature = fit_temperature(val_logits, val_labels)
    logits, labels = compute_logits(network, photos, spec)
    evaluation = summarise(
        logits,
        labels,
        split=split,
        temperature=temperature,
        class_names=class_names,
        val=_accuracy(val_logits, val_labels),
        paths=[str(photo.path) for photo in photos],
        weights_sha256=sha256_of(run.best_path),
    )
    write_json(run.evaluation_path, evaluation.to_dict())
    return evaluation


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_classes(photos: PhotoSet, class_names: Sequence[str]) -> None:
    if list(photos.class_names) != list(class_names):
        raise RunError(
            f"the photos in {photos.folder} are of {', '.join(photos.class_names)}; "
            f"the run knows {', '.join(class_names)}."
        )


def _unseen(photos: Sequence[Photo], own: PhotoSet, *, split: Split) -> tuple[Photo, ...]:
    seen = {photo.sha256 for photo in own.photos if photo.split != split}
    seen |= {photo.sha256 for photo in own.unlabeled}
    unseen = tuple(photo for photo in photos if photo.sha256 not in seen)
    if not unseen:
        raise RunError(
            f"the run has learned from all of the {len(photos)} photos given; judge it on others."
        )
    return unseen


@torch.inference_mode()
def compute_logits(
    network: Network, photos: Sequence[Photo], spec: PreprocessingSpec
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits `(N, K) float32` and labels `(N,)`, each photo once, in the order given."""
    logits, labels = [], []
    for pixels, batch_labels in served_pixels(photos, spec, batch_size=BATCH_SIZE):
        logits.append(network.logits(pixels))
        labels.append(batch_labels)
    return torch.cat(logits), torch.cat(labels)


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share; (0, 1) when nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = right / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def summarise(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    split: str,
    temperature: float,
    class_names: list[str],
    val: dict[str, Any],
    paths: Sequence[str],
    weights_sha256: str,
) -> Evaluation:
    class_count = len(class_names)
    probabilities = torch.softmax(logits / temperature, 1)
    raw = torch.softmax(logits, 1)
    counted = _accuracy(logits, labels)
    top_k = min(TOP_K, class_count)
    best = logits.topk(min(GUESSES_KEPT, class_count)).indices
    among_top = (best[:, :top_k] == labels[:, None]).any(1)
    confusion = multiclass_confusion_matrix(logits.argmax(1), labels, class_count)
    classes = [_class_result(confusion, index, name) for index, name in enumerate(class_names)]
    return Evaluation(
        split=split,
        n=len(labels),
        accuracy=counted["accuracy"],
        interval=counted["interval"],
        top_k=top_k,
        top_k_accuracy=float(among_top.float().mean()),
        macro_f1=sum(one.f1 for one in classes) / class_count,
        calibration_error_before=calibration_error(raw, labels, class_count),
        calibration_error=calibration_error(probabilities, labels, class_count),
        temperature=temperature,
        class_names=class_names,
        classes=classes,
        confusion=confusion.tolist(),
        val=val,
        weights_sha256=weights_sha256,
        photos=_judged(paths, labels, best, probabilities=probabilities, raw=raw),
    )


def _judged(
    paths: Sequence[str],
    labels: torch.Tensor,
    best: torch.Tensor,
    *,
    probabilities: torch.Tensor,
    raw: torch.Tensor,
) -> list[Prediction]:
    """Return the photos with the classes of `best` `(N, G)`, most likely first."""
    columns = (labels, best, probabilities.gather(1, best), raw.amax(1))
    rows = zip(paths, *(column.tolist() for column in columns), strict=True)
    return [
        Prediction(
            path=path,
            label=label,
            guesses=[
                ClassScore(index=i, probability=p) for i, p in zip(indices, sure, strict=True)
            ],
            confidence_before=before,
        )
        for path, label, indices, sure, before in rows
    ]


def _accuracy(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    right = int((logits.argmax(1) == labels).sum())
    return {
        "accuracy": right / len(labels),
        "n": len(labels),
        "interval": wilson_interval(right, len(labels)),
    }


def _class_result(confusion: torch.Tensor, index: int, name: str) -> ClassResult:
    right = int(confusion[index, index])
    n, answered = int(confusion[index].sum()), int(confusion[:, index].sum())
    return ClassResult(
        name=name,
        n=n,
        precision=right / answered if answered else 0.0,
        recall=right / n if n else 0.0,
        f1=2 * right / (n + answered) if n + answered else 0.0,
    )
