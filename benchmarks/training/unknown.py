"""Which score tells photos of other things: AUROC of eight against that of headswap, on cached features.

    uv pip install scikit-image scikit-learn -c benchmarks/constraints-peers.txt
    python -m benchmarks.training.unknown --data PHOTOS
    python -m benchmarks.training.photo_sets --clothing PHOTOS       (drawings and cut-outs)

far: pictures of other domains (strange_photos.py), some of which these two packages ship. near: each class in turn left
out of train and val, its test photos against those of the others. The backbone is the default one, not fine-tuned, so
that it has not learnt the classes left out; a linear head is trained on its features. Each seed draws other train
photos. Writes benchmarks/results/unknown.json.
"""

import io
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from benchmarks.measurements import WORK, merge, result_file
from benchmarks.training.strange_photos import kinds
from handlers.engines.network import Network, build_network
from handlers.images.preprocessing import load_pixels
from training.config import TrainConfig, quick
from training.data.dataset import preprocessing_of
from training.data.source import read_data
from training.evaluation.evaluation import compute_outputs
from training.fit.pretrained import load_pretrained
from training.unknown.auroc import auroc, max_probability_scores
from training.unknown.fitting import PROTOTYPES, Head, fit_scorer
from training.unknown.fitting import Features as Labelled

FAR_PHOTOS = 100
NEIGHBOURS = 10
VIM_RANK = 64
# Weight of the unit matrix in a covariance, without which that of few photos has no inverse.
SHRINKAGE = 0.1
HEAD_STEPS = 40
WEIGHT_DECAY = 1e-3

Features = Mapping[str, np.ndarray]
Scores = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Command:
    data: Path
    name: str = ""
    """Of the photo set in the results; the folder's own by default."""
    photos_per_class: int = 60
    seeds: int = 3
    results: Path = result_file("unknown")


def cached_features(command: Command) -> Features:
    """Return the features of each split and each kind of other picture, and the splits' labels."""
    path = WORK / f"unknown-{command.data.name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_compute_features(command.data))  # type: ignore[arg-type]
    with np.load(path) as arrays:
        return dict(arrays)


def _compute_features(data: Path) -> dict[str, np.ndarray]:
    config: TrainConfig = replace(quick(), data=data)
    photos, spec = read_data(config), preprocessing_of(config)
    network: Network = build_network(
        architecture=config.architecture,
        class_count=len(photos.class_names),
        preprocessing=spec,
    )
    load_pretrained(
        network,
        weights="embedded",
        architecture=config.architecture,
        image_size_px=config.image_size_px,
    )
    network.eval()
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        outputs = compute_outputs(network, photos.of(split), spec)
        arrays |= {f"{split}/f": outputs.features.numpy(), f"{split}/y": outputs.labels.numpy()}
    generator = np.random.default_rng(0)
    for kind, draw in kinds().items():
        pixels = []
        for _ in range(FAR_PHOTOS):
            jpeg = io.BytesIO()
            draw(generator).save(jpeg, "JPEG", quality=90)
            pixels.append(load_pixels(jpeg.getvalue(), spec))
        with torch.inference_mode():
            arrays[f"far/{kind}/f"] = network.outputs(torch.from_numpy(np.stack(pixels)))[1].numpy()
    return arrays


def train_head(features: np.ndarray, labels: np.ndarray) -> Head:
    """Return a linear head trained on the features."""
    rows, targets = torch.from_numpy(features), torch.from_numpy(labels)
    mean, std = rows.mean(0), rows.std(0) + 1e-6
    layer = torch.nn.Linear(rows.shape[1], int(targets.max()) + 1)
    torch.nn.init.zeros_(layer.weight)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=HEAD_STEPS)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = layer((rows - mean) / std)
        value = torch.nn.functional.cross_entropy(logits, targets)
        value = value + WEIGHT_DECAY * layer.weight.pow(2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    weight = layer.weight.detach() / std
    bias = layer.bias.detach() - weight @ mean
    return Head(weight=weight.numpy(), bias=bias.numpy())


def score(train: np.ndarray, labels: np.ndarray, val: np.ndarray, rows: np.ndarray) -> Scores:
    """Return each method's scores of `rows` `(N, D)`, higher for other things."""
    head = train_head(train, labels)
    kept = Labelled(rows=train[:PROTOTYPES], labels=labels[:PROTOTYPES])
    scorer, _ = fit_scorer(kept, val, head)
    residual = vim_residual(train, head)
    parts = scorer.parts(rows).T
    energy = parts[1]
    distance, own_energy, other_energy = (
        (part - mean) / deviation
        for part, mean, deviation in zip(
            parts, scorer.standards[::2], scorer.standards[1::2], strict=True
        )
    )
    logits = train @ head.weight.T + head.bias
    alpha = logits.max(1).mean() / residual(train).mean()
    own, common = mahalanobis(train, labels, rows)
    return {
        "max probability": max_probability_scores(rows, head),
        "energy": energy,
        "kNN": knn(train, rows),
        "Mahalanobis": own,
        "relative Mahalanobis": own - common,
        "ViM": alpha * residual(rows) + energy,
        "distance and energy": distance + own_energy,
        "headswap, equal weights": distance + own_energy + other_energy,
        "headswap": scorer.scores(rows),
    }


def knn(train: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the distance to the tenth-nearest train photo (Sun et al., 2022)."""
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (rows, train)]
    similarities = units[0] @ units[1].T
    distances: np.ndarray = -np.partition(similarities, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS]
    return distances


def mahalanobis(
    train: np.ndarray, labels: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance to the nearest class mean, and to the mean of all (Lee et al., 2018; Ren et al., 2021)."""
    means = np.stack([train[labels == label].mean(0) for label in np.unique(labels)])
    within, overall = _precision(train - means[labels]), _precision(train - train.mean(0))
    own = [_quadratic(rows - mean, within) for mean in means]
    return np.min(own, axis=0), _quadratic(rows - train.mean(0), overall)


def _precision(centred: np.ndarray) -> np.ndarray:
    covariance = centred.T @ centred / len(centred)
    size = len(covariance)
    unit = np.trace(covariance) / size * np.eye(size)
    precision: np.ndarray = np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * unit)
    return precision


def _quadratic(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    values: np.ndarray = ((rows @ matrix) * rows).sum(1)
    return values


def vim_residual(train: np.ndarray, head: Head) -> Callable[[np.ndarray], np.ndarray]:
    """Return what computes the length of features outside the principal space (Wang et al., 2022)."""
    origin = -np.linalg.pinv(head.weight) @ head.bias
    centred = train - origin
    _, vectors = np.linalg.eigh(centred.T @ centred)
    principal = vectors[:, ::-1][:, :VIM_RANK]

    def residual(rows: np.ndarray) -> np.ndarray:
        moved = rows - origin
        squares: np.ndarray = (moved**2).sum(1) - ((moved @ principal) ** 2).sum(1)
        lengths: np.ndarray = np.sqrt(np.maximum(squares, 0))
        return lengths

    return residual


def measure(features: Features, *, photos_per_class: int, seed: int) -> dict[str, Any]:
    """Return the AUROC of each method: of each kind of far pictures, and of each class left out."""
    generator = np.random.default_rng(seed)
    labels, val_labels, test_labels = (features[f"{split}/y"] for split in ("train", "val", "test"))
    classes = np.unique(labels)
    chosen = generator.permutation(
        np.concatenate(
            [
                generator.permutation(np.flatnonzero(labels == label))[:photos_per_class]
                for label in classes
            ]
        )
    )
    train, labels = features["train/f"][chosen], labels[chosen]
    val, test = features["val/f"], features["test/f"]
    far_kinds = sorted(key.split("/")[1] for key in features if key.startswith("far/"))
    others = [features[f"far/{kind}/f"] for kind in far_kinds]
    far_scores = score(train, labels, val, np.concatenate([test, *others]))
    far = {
        method: {
            kind: auroc(values[: len(test)], part)
            for kind, part in zip(
                far_kinds, np.split(values[len(test) :], len(far_kinds)), strict=True
            )
        }
        for method, values in far_scores.items()
    }
    near: dict[str, list[float]] = {method: [] for method in far}
    for label in classes:
        kept = labels != label
        renumbered = labels[kept] - (labels[kept] > label)
        scores = score(train[kept], renumbered, val[val_labels != label], test)
        is_other = test_labels == label
        for method, values in scores.items():
            near[method].append(auroc(values[~is_other], values[is_other]))
    return {"far": far, "near": near}


def summarise(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each method's means over kinds or classes and seeds, and deviations over kinds or classes."""
    summary: dict[str, Any] = {}
    for method in rounds[0]["far"]:
        kinds_of = list(rounds[0]["far"][method])
        far = [statistics.fmean(r["far"][method][kind] for r in rounds) for kind in kinds_of]
        near = [
            statistics.fmean(of) for of in zip(*(r["near"][method] for r in rounds), strict=True)
        ]
        summary[method] = {
            "far": round(statistics.fmean(far), 4),
            "far_deviation": round(statistics.pstdev(far), 4),
            "near": round(statistics.fmean(near), 4),
            "near_deviation": round(statistics.pstdev(near), 4),
            "far_kinds": dict(zip(kinds_of, (round(value, 4) for value in far), strict=True)),
            "left_out_classes": [round(value, 4) for value in near],
            "near_of_each_seed": [round(statistics.fmean(r["near"][method]), 4) for r in rounds],
        }
    return summary


def table(results: Mapping[str, Any]) -> str:
    """Return the AUROC of each method on each photo set as Markdown."""
    names = list(results)
    heads = [f"{name}: {kind}" for name in names for kind in ("far", "near")]
    lines = [f"| AUROC of {' | '.join(['score', *heads])} |", f"|---|{'---:|' * len(heads)}"]
    for method in results[names[0]]["auroc"]:
        figures = [results[name]["auroc"][method] for name in names]
        cells = [
            f"{of[kind]:.3f} ± {of[f'{kind}_deviation']:.3f}"
            for of in figures
            for kind in ("far", "near")
        ]
        shown = f"**{method}**" if method == "headswap" else method
        lines.append(f"| {' | '.join([shown, *cells])} |")
    seeds = results[names[0]]["seeds"]
    lines += [
        "",
        f"EfficientNet-Lite1 at 160 px, included weights, backbone not fine-tuned; means over {seeds} draws of train "
        "photos. far ± standard deviation over 6 kinds of pictures of other domains, near ± over the classes left out.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    features = cached_features(command)
    rounds = []
    for seed in range(command.seeds):
        rounds.append(measure(features, photos_per_class=command.photos_per_class, seed=seed))
        summary = summarise(rounds)
        for method, figures in summary.items():
            sys.stderr.write(f"{method:24s} far {figures['far']:.3f} near {figures['near']:.3f}\n")
    key = f"{command.name or command.data.name}, {command.photos_per_class} photos a class"
    merge(key, {"seeds": command.seeds, "auroc": summarise(rounds)}, command.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
