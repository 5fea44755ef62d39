"""Pretrained against scratch, frozen against full, one architecture against another, over seeds.

    headswap compare --data photos --models resnet18 efficientnet_b0 --weights embedded none

Every run has the same flags but for what is compared. A finished run is kept, so a comparison that
was stopped goes on where it was.
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
from training.errors import ConfigError
from training.evaluation.evaluation import evaluate, load_network
from training.fit.pretrained import start
from training.fit.trainer import train
from training.run import Run, read_json, write_json

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    architecture: str
    weights: str
    freeze: Freeze

    @property
    def name(self) -> str:
        """Return a name that can stand in a path."""
        trained = "head" if self.freeze == "body" else "full"
        return f"{self.architecture}-{re.sub(r'[^A-Za-z0-9._]+', '_', self.weights)}-{trained}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A contender over its seeds. Accuracies are shares of the test photos, 0..1."""

    architecture: str
    weights: str
    freeze: Freeze
    head_epochs: int
    """Of the head alone, before the rest."""
    epochs: int
    """Of everything."""
    accuracies: list[float]
    test_n: int
    parameters: int
    training_s: float
    """Mean over the seeds, reading and judging the photos of each epoch included."""
    photos_per_s: float
    """Of one serving thread, decoding included."""
    archive_bytes: int

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float:
        """Return the standard deviation over the seeds; 0 for a single one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else 0.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    rows: list[Row]
    """Best first."""
    config: dict[str, Any]
    """The flags that all runs share."""
    train_n: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_candidates(
    architectures: Iterable[str], weights: Iterable[str], freezes: Iterable[Freeze]
) -> list[Candidate]:
    """Return all combinations but a frozen body that has learned nothing."""
    return [
        Candidate(architecture=architecture, weights=start, freeze=freeze)
        for architecture, start, freeze in itertools.product(architectures, weights, freezes)
        if not (start == "none" and freeze == "body")
    ]


def config_of(candidate: Candidate, shared: TrainConfig, *, seed: int) -> TrainConfig:
    """Return a contender's flags: the shared ones, and as many epochs as every other contender has.

    They are spent where they can help: on the head alone where the body is frozen, on everything
    where it starts from nothing, else on the head first.
    """
    in_all = shared.head_epochs + shared.epochs
    head_epochs = in_all if candidate.freeze == "body" else shared.head_epochs
    if candidate.weights == "none":
        head_epochs = 0
    return replace(
        shared,
        architecture=candidate.architecture,
        weights=candidate.weights,
        freeze=candidate.freeze,
        head_epochs=head_epochs,
        epochs=in_all - head_epochs,
        seed=seed,
        out=shared.out / "runs" / f"{candidate.name}-{seed}",
    )


def compare(
    candidates: Sequence[Candidate], shared: TrainConfig, *, seed_count: int, say: Say
) -> Comparison:
    """Train and judge what is not finished yet and return the rows; `shared.out` keeps all of it.

    Raises:
        ConfigError: a kept run was trained with other flags, or there is nothing to compare.
        TrainingError: whatever a single run raises.
    """
    if not candidates or seed_count < 1:
        raise ConfigError(
            "nothing to compare; give at least one model, one start and one seed (a body that stays frozen "
            "from scratch learns nothing and is left out)."
        )
    _check(config_of(candidate, shared, seed=shared.seed) for candidate in candidates)
    results: dict[Candidate, list[dict[str, Any]]] = {one: [] for one in candidates}
    # Seeds outside: stopped early, every contender has been run as often as the others.
    for seed, candidate in itertools.product(range(seed_count), candidates):
        config = config_of(candidate, shared, seed=shared.seed + seed)
        result = judged_run(config)
        results[candidate].append(result)
        say(f"{candidate.name}, seed {config.seed}: {result['accuracy']:.3f} on test")
    speeds = {
        one.architecture: _speed_of(one.architecture, shared.out, results[one][0]["run"], say)
        for one in reversed(candidates)
    }
    rows = [_row(one, shared, results[one], speeds[one.architecture]) for one in candidates]
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


def _check(configs: Iterable[TrainConfig]) -> None:
    """Raise what is wrong with a network or its start before hours are spent on those ahead of it."""
    unfinished = [config for config in configs if _finished(config) is None]
    # Whatever is frozen, they are the same.
    for config in {(one.architecture, one.weights): one for one in unfinished}.values():
        network = build_network(
            architecture=config.architecture, class_count=2, preprocessing=preprocessing_of(config)
        )
        start(network, config)


def judged_run(config: TrainConfig) -> dict[str, Any]:
    """Return what the run of these flags is worth; it is trained and judged unless it was before.

    Raises:
        ConfigError: the folder holds a run with other flags.
        TrainingError: whatever training and judging raise.
    """
    return _finished(config) or _run(config)


def _finished(config: TrainConfig) -> dict[str, Any] | None:
    path = config.out / "result.json"
    if not path.exists():
        return None
    before = replace(Run(folder=config.out).config(), resume=False, out=config.out)
    if before != config:
        raise ConfigError(
            f"{config.out} was run with other flags; give another --out, or delete that folder."
        )
    return read_json(path)


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
        "parameters": sum(one.numel() for one in network.backbone_and_head.parameters()),
        "training_s": sum(line["seconds"] for line in run.history()),
    }
    write_json(config.out / "result.json", result)
    # Only resuming needs it, and it is three times the network.
    run.last_path.unlink(missing_ok=True)
    return result


def _speed_of(architecture: str, out: Path, run: str, say: Say) -> ServingSpeed:
    """Return speed and size, which the architecture decides alone, so once for each."""
    path = out / "serving" / f"{architecture}.json"
    if path.exists():
        return ServingSpeed(**read_json(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    speed = measure_serving_speed(Path(run))
    write_json(path, asdict(speed))
    say(f"{architecture} serves {speed.photos_per_s:.0f} photos/s")
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
