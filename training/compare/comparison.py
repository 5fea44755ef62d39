"""Compare architectures, initial weights, and training the head or the whole network, over several seeds.

    headswap compare --data photos --models resnet18 efficientnet_lite1 --weights embedded none

Apart from what is compared, all runs have the same flags. Finished runs are kept, so an interrupted comparison resumes
where it stopped.
"""

import itertools
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from handlers.engines.network import build_network
from training.compare.speeds import ServingSpeed, measure_serving_speed
from training.config import Freeze, TrainConfig
from training.data.dataset import preprocessing_of
from training.data.source import read_data
from training.errors import ConfigError
from training.evaluation.evaluation import evaluate, load_network
from training.fit.pretrained import load_pretrained
from training.fit.trainer import train
from training.own_photos import record_place
from training.run import Run, has_places_of, read_json, with_places_of, write_json

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    architecture: str
    weights: str
    freeze: Freeze

    @property
    def name(self) -> str:
        """Return a name that is valid in a path."""
        trained = "head" if self.freeze == "backbone" else "full"
        return f"{self.architecture}-{re.sub(r'[^A-Za-z0-9._]+', '_', self.weights)}-{trained}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """The results of one candidate over its seeds. Accuracies are those on test, 0..1."""

    architecture: str
    weights: str
    freeze: Freeze
    head_epochs: int
    """Epochs that train the head alone, before the others."""
    epochs: int
    """Epochs that train the whole network."""
    accuracies: list[float]
    test_n: int
    parameters: int
    training_s: float
    """Mean over the seeds, including reading the photos and validating after each epoch."""
    photos_per_s: float
    """Served by one thread, including decoding."""
    archive_bytes: int

    @property
    def mean(self) -> float:
        """Return the mean accuracy over the seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float:
        """Return the standard deviation of the accuracy over the seeds; 0 for a single seed."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else 0.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    rows: list[Row]
    """Best first."""
    config: dict[str, Any]
    """The flags that all runs have in common."""
    train_n: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_candidates(
    architectures: Iterable[str], weights: Iterable[str], freezes: Iterable[Freeze]
) -> list[Candidate]:
    """Return all combinations except those that freeze a randomly initialised backbone."""
    return [
        Candidate(architecture=architecture, weights=initial_weights, freeze=freeze)
        for architecture, initial_weights, freeze in itertools.product(
            architectures, weights, freezes
        )
        if not (initial_weights == "none" and freeze == "backbone")
    ]


def config_of(candidate: Candidate, shared: TrainConfig, *, seed: int) -> TrainConfig:
    """Return a candidate's flags: the shared ones, with the same total number of epochs for every candidate.

    All of them train the head if the backbone is frozen, and the whole network if it is trained from scratch; otherwise
    the head is trained first, then the whole network.
    """
    total_epochs = shared.head_epochs + shared.epochs
    head_epochs = total_epochs if candidate.freeze == "backbone" else shared.head_epochs
    if candidate.weights == "none":
        head_epochs = 0
    return replace(
        shared,
        architecture=candidate.architecture,
        weights=candidate.weights,
        freeze=candidate.freeze,
        head_epochs=head_epochs,
        epochs=total_epochs - head_epochs,
        seed=seed,
        out=shared.out / "runs" / f"{candidate.name}-{seed}",
    )


def compare(
    candidates: Sequence[Candidate], shared: TrainConfig, *, seed_count: int, report: Report
) -> Comparison:
    """Return the comparison, after training and evaluating the runs that are not finished.

    All files are written to `shared.out`; `report` receives a line per result.

    Raises:
        ConfigError: a finished run was trained with other flags, or there is nothing to compare.
        TrainingError: a run failed.
    """
    if not candidates or seed_count < 1:
        raise ConfigError(
            "there is nothing to compare; give at least one model, one kind of weights and one seed (--freeze backbone "
            "with --weights none is left out, because a frozen backbone needs pretrained weights)."
        )
    firsts = [config_of(candidate, shared, seed=shared.seed) for candidate in candidates]
    if any(_finished(config) is None for config in firsts):
        # Before weights are downloaded for photos that cannot be used.
        read_data(shared)
    _check_runs(firsts)
    results: dict[Candidate, list[dict[str, Any]]] = {candidate: [] for candidate in candidates}
    # Seeds are the outer loop, so that every candidate has been run equally often if this is interrupted.
    for seed, candidate in itertools.product(range(seed_count), candidates):
        config = config_of(candidate, shared, seed=shared.seed + seed)
        result = evaluated_run(config)
        results[candidate].append(result)
        report(f"{candidate.name}, seed {config.seed}: {result['accuracy']:.3f} on test")
    speeds = {
        candidate.architecture: _speed_of(
            candidate.architecture, shared.out, Path(results[candidate][0]["run"]), report
        )
        for candidate in reversed(candidates)
    }
    rows = [
        _row(candidate, shared, results[candidate], speeds[candidate.architecture])
        for candidate in candidates
    ]
    comparison = Comparison(
        rows=sorted(rows, key=lambda row: -row.mean),
        config={
            key: value
            for key, value in shared.to_dict().items()
            if key not in ("architecture", "weights", "freeze", "out", "resume", "data")
        },
        train_n=results[candidates[0]][0]["train_n"],
    )
    write_json(shared.out / "comparison.json", comparison.to_dict())
    return comparison


def _check_runs(configs: Iterable[TrainConfig]) -> None:
    """Raise the error of an impossible network or weights file now, rather than after hours of other runs."""
    unfinished = [config for config in configs if _finished(config) is None]
    # Freezing makes no difference here.
    for config in {(config.architecture, config.weights): config for config in unfinished}.values():
        network = build_network(
            architecture=config.architecture, class_count=2, preprocessing=preprocessing_of(config)
        )
        load_pretrained(
            network,
            weights=config.effective_weights,
            architecture=config.architecture,
            image_size_px=config.image_size_px,
        )


def evaluated_run(config: TrainConfig) -> dict[str, Any]:
    """Return the result of the run with these flags, after training and evaluating it if it is not finished.

    Raises:
        ConfigError: the folder holds a run with other flags.
        TrainingError: training or evaluation failed.
    """
    return _finished(config) or _run(config)


def _finished(config: TrainConfig) -> dict[str, Any] | None:
    path = config.out / "result.json"
    if not path.exists():
        return None
    run = Run(folder=config.out)
    if with_places_of(run.config(), config) != config:
        raise ConfigError(
            f"{config.out} holds a run with other flags; give another --out, or delete that folder."
        )
    if not has_places_of(run.config(), config):
        _follow_photos(run, config)
    return read_json(path)


def _follow_photos(run: Run, config: TrainConfig) -> None:
    """Record that the run's photos are where the config says now. Raises ConfigError if those there are others."""
    photos = read_data(config)
    if photos.fingerprint != run.data()["fingerprint"]:
        raise ConfigError(
            f"{run.folder} holds a run on other photos than those in {str(config.data)!r}; give another --out, or "
            "delete that folder."
        )
    record_place(
        run, data=config.data, labels=config.labels, unlabeled=config.unlabeled, photos=photos
    )


def _run(config: TrainConfig) -> dict[str, Any]:
    run = Run(folder=config.out)
    train(replace(config, resume=run.config_path.exists()))
    evaluation = evaluate(config.out)
    network = load_network(run)
    result = {
        "run": str(config.out),
        "accuracy": evaluation.accuracy,
        "test_n": evaluation.n,
        "train_n": sum(run.data()["counts"]["train"]),
        "unlabeled_n": run.data().get("unlabeled_count", 0),
        "parameters": sum(
            parameter.numel() for parameter in network.backbone_and_head.parameters()
        ),
        "training_s": sum(line["seconds"] for line in run.history()),
    }
    write_json(config.out / "result.json", result)
    # Only resuming needs it, and it is three times the size of the network.
    run.last_path.unlink(missing_ok=True)
    return result


def _speed_of(architecture: str, out: Path, run_folder: Path, report: Report) -> ServingSpeed:
    """Return speed and archive size, measured once per architecture, because nothing else affects them."""
    path = out / "serving" / f"{architecture}.json"
    if path.exists():
        return ServingSpeed(**read_json(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    speed = measure_serving_speed(run_folder)
    write_json(path, asdict(speed))
    report(f"{architecture} serves {speed.photos_per_s:.0f} photos/s")
    return speed


def _row(
    candidate: Candidate,
    shared: TrainConfig,
    results: Sequence[dict[str, Any]],
    speed: ServingSpeed,
) -> Row:
    config = config_of(candidate, shared, seed=shared.seed)
    return Row(
        **asdict(candidate),
        head_epochs=config.head_epochs,
        epochs=config.epochs,
        accuracies=[result["accuracy"] for result in results],
        test_n=results[0]["test_n"],
        parameters=results[0]["parameters"],
        training_s=round(statistics.fmean(result["training_s"] for result in results), 1),
        photos_per_s=speed.photos_per_s,
        archive_bytes=speed.archive_bytes,
    )
