"""The unknown score of a run: fitted to its own photos, and kept in the run folder for the weights it was fitted to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from handlers.engines.network import Network
from handlers.engines.unknown import UnknownScorer
from storage import atomic_write
from training.run import Run
from training.unknown.auroc import auroc, max_probability_scores, without_class
from training.unknown.fitting import AcceptedShare, Features, Head, fit_scorer

# With more classes, those left out are spread evenly over them: 20 take a second.
CLASSES_LEFT_OUT = 20
# Of the negatives, for which the share of the classes' own photos is given that would still be accepted.
FOUND_SHARE = 0.95


@dataclass(frozen=True, kw_only=True)
class FittedScore:
    scorer: UnknownScorer
    accepted: AcceptedShare


def head_of(network: Network) -> Head:
    """Return the last layer's weight and bias."""
    layer = network.head
    weight = layer.weight.detach().float().numpy()
    bias = np.zeros(len(weight), np.float32) if layer.bias is None else layer.bias.detach().numpy()
    return Head(weight=weight, bias=bias)


def fit_score(train: Features, val: Features, head: Head, *, accepted_share: float) -> FittedScore:
    """Return the score fitted to the features of a run's own photos."""
    scorer, accepted = fit_scorer(train, val.rows, head, accepted_share=accepted_share)
    return FittedScore(scorer=scorer, accepted=accepted)


def write_score(run: Run, fitted: FittedScore, *, weights_sha256: str) -> None:
    """Keep the score in the run folder, with the sha256 of the weights it belongs to."""
    notes = {"weights_sha256": weights_sha256}
    notes |= {name: repr(value) for name, value in asdict(fitted.accepted).items()}
    arrays = {
        name: np.ascontiguousarray(value, np.float32)
        for name, value in fitted.scorer.arrays().items()
    }
    atomic_write(run.unknown_path, save(arrays, metadata=notes))


def read_score(run: Run, *, weights_sha256: str) -> FittedScore | None:
    """Return the score that the run folder keeps for these weights; None if it keeps none."""
    if not run.unknown_path.exists():
        return None
    try:
        with safe_open(run.unknown_path, framework="np") as file:
            notes = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        scorer = UnknownScorer.from_arrays(arrays)
        accepted = AcceptedShare(
            expected=float(notes["expected"]),
            deviation=float(notes["deviation"]),
            n=int(notes["n"]),
        )
    except (SafetensorError, KeyError, ValueError, OSError):
        return None
    if notes.get("weights_sha256") != weights_sha256:
        return None
    return FittedScore(scorer=scorer, accepted=accepted)


def describe(
    fitted: FittedScore, head: Head, photos: Features, *, train: Features | None
) -> dict[str, Any]:
    """Return how the score does on the evaluated photos, and on each class as if it were none of the run's.

    A class left out is one whose train photos and output are taken away; the network itself has learnt from it, so a
    class it has never seen is harder to tell.
    """
    scores = fitted.scorer.scores(photos.rows)
    described: dict[str, Any] = {
        "accepted_share": asdict(fitted.accepted),
        "evaluated_accepted_share": float((scores <= 1).mean()),
    }
    if train is not None:
        described |= _leave_classes_out(fitted.scorer, head, train, photos)
    return described


def _leave_classes_out(
    scorer: UnknownScorer, head: Head, train: Features, photos: Features
) -> dict[str, Any]:
    present = [int(label) for label in np.unique(photos.labels)]
    if len(head.weight) < 3 or len(present) < 2:
        return {}
    step = max(1, -(-len(present) // CLASSES_LEFT_OUT))
    ours, baseline = [], []
    for label in present[::step]:
        is_left_out = photos.labels == label
        rest = without_class(head, label)
        reduced = UnknownScorer(
            **scorer.arrays()
            | {
                "prototypes": scorer.prototypes[train.labels != label],
                "head_weight": rest.weight,
                "head_bias": rest.bias,
                **_classes_without(scorer, train.labels, label),
            }
        )
        scores = reduced.raw_scores(photos.rows)
        ours.append(auroc(scores[~is_left_out], scores[is_left_out]))
        plain = max_probability_scores(photos.rows, rest)
        baseline.append(auroc(plain[~is_left_out], plain[is_left_out]))
    return {
        "left_out_classes": len(ours),
        "left_out_auroc": float(np.mean(ours)),
        "left_out_auroc_deviation": float(np.std(ours)),
        "left_out_auroc_of_max_probability": float(np.mean(baseline)),
    }


def _classes_without(
    scorer: UnknownScorer, labels: np.ndarray, label: int
) -> dict[str, np.ndarray]:
    """Return the discriminant analysis without the function of a class, whose others stay as they are."""
    is_kept = np.unique(labels) != label
    return {
        "discriminant_weight": scorer.discriminant_weight[is_kept],
        "discriminant_bias": scorer.discriminant_bias[is_kept],
    }


def describe_negatives(
    fitted: FittedScore, head: Head, known: np.ndarray, negatives: np.ndarray
) -> dict[str, Any]:
    """Return how well the score tells photos of other things, features `(N, D)`, from the evaluated ones."""
    scores, own = fitted.scorer.scores(negatives), fitted.scorer.scores(known)
    return {
        "n": len(negatives),
        "unknown_share": float((scores > 1).mean()),
        "auroc": auroc(own, scores),
        "auroc_of_max_probability": auroc(
            max_probability_scores(known, head), max_probability_scores(negatives, head)
        ),
        "found_share": FOUND_SHARE,
        "accepted_share_where_found": float((own < np.quantile(scores, 1 - FOUND_SHARE)).mean()),
    }


def as_features(rows: torch.Tensor, labels: Sequence[int] | torch.Tensor) -> Features:
    """Return features and labels as arrays."""
    return Features(rows=rows.numpy(), labels=np.asarray(labels, dtype=np.int64))
