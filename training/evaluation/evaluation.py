"""Evaluate a run on test photos, with the very pixels and network of serving.

Legend: N photos, K classes, T top classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torchmetrics.functional.classification import multiclass_confusion_matrix

from handlers.engines.network import Network, build_network
from handlers.images.preprocessing import PreprocessingSpec
from storage import sha256_of
from training.data.balance import stratified_sample
from training.data.dataset import preprocessing_of, served_pixels
from training.data.photos import Photo
from training.errors import RunError
from training.evaluation.abstention import Abstention, choose_min_probability
from training.evaluation.metrics import (
    Accuracy,
    ClassResult,
    accuracy_of,
    calibration_error,
    class_results,
    fit_temperature,
)
from training.evaluation.selection import EvaluatedSplit, Selection, select_photos
from training.run import Run, open_finished_run, write_json
from training.threads import limit_torch_threads
from training.unknown.fitting import PROTOTYPES, Features, Head
from training.unknown.negatives import read_negatives
from training.unknown.run_score import (
    FittedScore,
    as_features,
    describe,
    describe_negatives,
    fit_score,
    head_of,
    read_score,
    write_score,
)

BATCH_SIZE = 64
# Of photos like val's, that the unknown score accepts.
ACCEPTED_SHARE = 0.95
TOP_K = 3
# All 1000 probabilities of each of 2,000 photos would be 72 MB.
TOP_CLASSES_KEPT = 5


@dataclass(frozen=True, kw_only=True)
class ClassProbability:
    index: int
    probability: float
    """Calibrated, 0..1."""


@dataclass(frozen=True, kw_only=True)
class PhotoPrediction:
    """A photo, its label and the classes predicted for it."""

    path: str
    """Absolute when it was evaluated."""
    sha256: str
    label: int
    top_classes: list[ClassProbability]
    """The 5 most likely classes, most likely first."""
    confidence_before: float
    """Probability of the most likely class before temperature scaling."""
    unknown_score: float | None = None
    """Above 1 it is taken for none of the classes; None without a score."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The content of evaluation.json. Shares are 0..1; intervals are 95 % (Wilson, 1927)."""

    split: str
    n: int
    accuracy: float
    interval: tuple[float, float]
    top_k: int
    top_k_accuracy: float
    macro_f1: float
    calibration_error_before: float
    """Before temperature scaling."""
    calibration_error: float
    temperature: float
    class_names: list[str]
    classes: list[ClassResult]
    confusion: list[list[int]]
    """Rows are the true classes, columns the predictions."""
    val: Accuracy
    photos: list[PhotoPrediction]
    weights_sha256: str
    """Of the best.safetensors that was evaluated."""
    left_out: int
    """Photos of the split that were not evaluated, because the run was trained on or selected by them."""
    unknown: dict[str, Any] = field(default_factory=dict)
    """How well the unknown score does (training/unknown); empty where the train photos are gone."""
    abstention: Abstention | None = None
    """Of --target-accuracy, where the val photos reach it."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load_network(run: Run, *, temperature: float = 1.0) -> Network:
    """Return the run's best network, float32 on the CPU, in evaluation mode.

    Raises:
        RunError: best.safetensors is damaged.
    """
    limit_torch_threads()
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
        raise RunError(f"{run.best_path} cannot be read: {reason}. Train the run again.") from None
    return network.eval()


def evaluate(
    run_folder: Path,
    *,
    data: Path | None = None,
    labels: Path | None = None,
    split: EvaluatedSplit = "test",
    accepted_share: float = ACCEPTED_SHARE,
    negatives: Path | None = None,
    target_accuracy: float | None = None,
    report: Callable[[str], object] = lambda _: None,
) -> Evaluation:
    """Return the run's evaluation on a split, and write it to evaluation.json.

    The temperature is fitted on the run's own val photos. With `data`, all photos of a folder without splits are
    evaluated. Photos that the run was trained on or selected by are left out, whatever their name and folder; `data`
    may also be the new place of the run's own. `report` is called with what in the folder is not read.

    The unknown score is fitted on the run's own photos; its threshold accepts `accepted_share` of photos like val's.
    `negatives` is a folder of photos of other things. With `target_accuracy`, the probability from which on the
    answers reach it is chosen on val.

    Raises:
        RunError: not a finished run, photos of other classes, or none that the run has not used.
        DataError: the photo folder cannot be used. DownloadError: a dataset could not be fetched.
    """
    run = open_finished_run(run_folder)
    network = load_network(run)
    spec = preprocessing_of(run.config())
    weights_sha256 = sha256_of(run.best_path)
    selection = select_photos(run, split=split, data=data, labels=labels)
    for note in selection.notes:
        report(note)
    val_outputs = compute_outputs(network, selection.val, spec) if selection.val else None
    temperature, val = _calibrate(run, val_outputs, weights_sha256=weights_sha256)
    outputs = compute_outputs(network, selection.photos, spec)
    logits, true_labels = outputs.logits, outputs.labels
    evaluation = summarise(
        logits,
        true_labels,
        split=split,
        temperature=temperature,
        class_names=run.data()["class_names"],
        val=val,
        photos=selection.photos,
        weights_sha256=weights_sha256,
        left_out=selection.left_out,
    )
    if target_accuracy is not None and val_outputs is not None:
        abstention = _abstain(outputs, val_outputs, temperature, target_accuracy=target_accuracy)
        evaluation = replace(evaluation, abstention=abstention)
    head = head_of(network)
    train = _train_features(run, network, selection)
    fitted = _fit_unknown(
        run, head, train, val_outputs, weights_sha256=weights_sha256, accepted_share=accepted_share
    )
    if fitted is not None:
        other = None if negatives is None else read_negatives(negatives)
        evaluation = replace(
            evaluation,
            unknown=describe(fitted, head, outputs.as_features(), train=train),
            photos=_with_scores(evaluation.photos, fitted, outputs),
        )
        if other:
            known = outputs.features.numpy()
            rows = compute_outputs(network, other, spec).features.numpy()
            evaluation.unknown["negatives"] = describe_negatives(fitted, head, known, rows)
    write_json(run.evaluation_path, evaluation.to_dict())
    return evaluation


def _train_features(run: Run, network: Network, selection: Selection) -> Features | None:
    photos = stratified_sample(selection.train, PROTOTYPES)
    if len(photos) < 2:
        return None
    return compute_outputs(network, photos, preprocessing_of(run.config())).as_features()


def _fit_unknown(
    run: Run,
    head: Head,
    train: Features | None,
    val: "Outputs | None",
    *,
    weights_sha256: str,
    accepted_share: float,
) -> FittedScore | None:
    """Return the fitted score, and keep it in the run folder; the one kept there where the train photos are gone."""
    if train is None or val is None:
        return read_score(run, weights_sha256=weights_sha256)
    fitted = fit_score(train, val.as_features(), head, accepted_share=accepted_share)
    write_score(run, fitted, weights_sha256=weights_sha256)
    return fitted


def _with_scores(
    photos: Sequence[PhotoPrediction], fitted: FittedScore, outputs: "Outputs"
) -> list[PhotoPrediction]:
    scores = fitted.scorer.scores(outputs.features.numpy()).tolist()
    return [
        replace(photo, unknown_score=score) for photo, score in zip(photos, scores, strict=True)
    ]


def _abstain(
    outputs: "Outputs", val: "Outputs", temperature: float, *, target_accuracy: float
) -> Abstention | None:
    confidences, is_correct = val.answers(temperature)
    least = choose_min_probability(confidences, is_correct, target_accuracy=target_accuracy)
    if least is None:
        return None
    confidences, is_correct = outputs.answers(temperature)
    is_answered = confidences >= least
    return Abstention(
        target_accuracy=target_accuracy,
        min_probability=least,
        val_n=len(val.labels),
        answered_share=float(is_answered.mean()),
        answered=int(is_answered.sum()),
        correct=int((is_answered & is_correct).sum()),
    )


def _calibrate(run: Run, val: "Outputs | None", *, weights_sha256: str) -> tuple[float, Accuracy]:
    """Return the temperature and the accuracy on val; those of the last evaluation where the val photos are gone.

    Raises:
        RunError: they are gone, and these weights have not been evaluated yet.
    """
    if val is not None:
        logits, labels = val.logits, val.labels
        return fit_temperature(logits, labels), accuracy_of(logits, labels)
    before = run.evaluation() if run.evaluation_path.exists() else {}
    if before.get("weights_sha256") != weights_sha256:
        raise RunError(
            f"the val photos of {str(run.folder)!r}, on which the temperature is fitted, are gone from "
            f"{str(run.config().data)!r}. If they have moved, run `headswap evaluate {run.folder} --data FOLDER` with "
            "their new place first."
        )
    return before["temperature"], before["val"]


@dataclass(frozen=True)
class Outputs:
    """What the network makes of N photos, in their order."""

    logits: torch.Tensor
    """`(N, K) float32`."""
    features: torch.Tensor
    """`(N, D) float32`, the head's inputs."""
    labels: torch.Tensor
    """`(N,) int64`."""

    def answers(self, temperature: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the highest probability of each photo, and whether its class is right."""
        top = torch.softmax(self.logits / temperature, 1).max(1)
        return top.values.numpy(), (top.indices == self.labels).numpy()

    def as_features(self) -> Features:
        return as_features(self.features, self.labels)


def compute_outputs(network: Network, photos: Sequence[Photo], spec: PreprocessingSpec) -> Outputs:
    """Return the logits and features of the photos, of one pass."""
    features: list[torch.Tensor] = []
    hook = network.head.register_forward_pre_hook(
        lambda _, inputs: features.append(inputs[0].float())
    )
    try:
        logits, labels = compute_logits(network, photos, spec)
    finally:
        hook.remove()
    return Outputs(logits, torch.cat(features), labels)


@torch.inference_mode()
def compute_logits(
    network: Network, photos: Sequence[Photo], spec: PreprocessingSpec
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits `(N, K) float32` and labels `(N,) int64`, in the order of the photos."""
    logits, labels = [], []
    for pixels, batch_labels in served_pixels(photos, spec, batch_size=BATCH_SIZE):
        logits.append(network.logits(pixels))
        labels.append(batch_labels)
    return torch.cat(logits), torch.cat(labels)


def summarise(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    split: str,
    temperature: float,
    class_names: list[str],
    val: Accuracy,
    photos: Sequence[Photo],
    weights_sha256: str,
    left_out: int = 0,
) -> Evaluation:
    """Return the evaluation of logits `(N, K) float32` of photos against labels `(N,) int64`."""
    class_count = len(class_names)
    probabilities = torch.softmax(logits / temperature, 1)
    probabilities_before = torch.softmax(logits, 1)
    accuracy = accuracy_of(logits, labels)
    top_k = min(TOP_K, class_count)
    top = logits.topk(min(TOP_CLASSES_KEPT, class_count)).indices
    is_in_top_k = (top[:, :top_k] == labels[:, None]).any(1)
    confusion = multiclass_confusion_matrix(logits.argmax(1), labels, class_count)
    classes = class_results(confusion, class_names)
    return Evaluation(
        split=split,
        n=len(labels),
        accuracy=accuracy["accuracy"],
        interval=accuracy["interval"],
        top_k=top_k,
        top_k_accuracy=float(is_in_top_k.float().mean()),
        macro_f1=sum(result.f1 for result in classes) / class_count,
        calibration_error_before=calibration_error(probabilities_before, labels),
        calibration_error=calibration_error(probabilities, labels),
        temperature=temperature,
        class_names=class_names,
        classes=classes,
        confusion=confusion.tolist(),
        val=val,
        weights_sha256=weights_sha256,
        left_out=left_out,
        photos=_predictions(
            photos, labels, top, probabilities=probabilities, before=probabilities_before
        ),
    )


def _predictions(
    photos: Sequence[Photo],
    labels: torch.Tensor,
    top: torch.Tensor,
    *,
    probabilities: torch.Tensor,
    before: torch.Tensor,
) -> list[PhotoPrediction]:
    """Return one prediction per photo; `top` `(N, T) int64` are its classes, most likely first."""
    columns = (labels, top, probabilities.gather(1, top), before.amax(1))
    rows = zip(photos, *(column.tolist() for column in columns), strict=True)
    return [
        PhotoPrediction(
            path=str(photo.path.absolute()),
            sha256=photo.sha256,
            label=label,
            top_classes=[
                ClassProbability(index=index, probability=probability)
                for index, probability in zip(indices, row, strict=True)
            ],
            confidence_before=confidence_before,
        )
        for photo, label, indices, row, confidence_before in rows
    ]
