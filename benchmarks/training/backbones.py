"""Which included network is the default, and at which size: fine-tuned accuracy and time of a photo.

    python -m benchmarks.training.backbones speed
    python -m benchmarks.training.backbones accuracy --data sample_data/clothing --candidates efficientnet_lite0:224

A candidate may be the default if it serves at least as many photos/s as EfficientNet-B0 at 224 px. `speed` times a
photo of each, from its bytes to probabilities, in every engine and in turns; `accuracy` fine-tunes by the quick preset,
and compares int8 with float32 on val. Finished runs are kept, and results of other candidates stay in the file.
Writes benchmarks/results/backbones.json.
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from benchmarks import machine
from benchmarks.measurements import WORK, read, result_file, write
from benchmarks.networks import SAMPLE
from benchmarks.summary import format_percent
from handlers.engines.engine import Engine, Outputs
from handlers.engines.mnn_engine import MnnEngine
from handlers.engines.network import build_network
from handlers.engines.onnx_engine import OnnxEngine
from handlers.images.preprocessing import PreprocessingSpec, load_pixels
from handlers.model_card import ArchivePrecision
from training.compare.comparison import evaluated_run
from training.config import Freeze, TrainConfig, quick
from training.data.balance import stratified_sample
from training.data.dataset import preprocessing_of
from training.data.source import read_data
from training.evaluation.evaluation import load_network
from training.export.engine_speed import time_interleaved
from training.export.mnn import convert
from training.export.onnx import export_onnx
from training.export.quantisation import quantise, quantise_and_compare
from training.fit.pretrained import EMBEDDED, load_pretrained
from training.run import Run

RESULTS = result_file("backbones")
BASELINE = "efficientnet_b0:224"
SPEED_CANDIDATES = tuple(
    f"efficientnet_lite{number}:{size}" for number in range(3) for size in (160, 192, 224, 240, 260)
)
CLASSES = 10
SPEED_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class Speed:
    candidates: tuple[str, ...] = SPEED_CANDIDATES
    """ARCHITECTURE:PIXELS."""
    results: Path = RESULTS


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    candidates: tuple[str, ...]
    """ARCHITECTURE:PIXELS."""
    data: Path = SAMPLE
    photos_per_class: int = 0
    freeze: Freeze = "none"
    head_epochs: int = 20
    epochs: int = 10
    seeds: int = 1
    int8: bool = False
    """Also quantise the first seed's network and compare it with float32 on val."""
    results: Path = RESULTS


Command = (
    Annotated[Speed, tyro.conf.subcommand("speed")]
    | Annotated[Accuracy, tyro.conf.subcommand("accuracy")]
)


class WholePhoto:
    """An engine that decodes a photo of its own for every pass, whatever pixels it is given."""

    precision: ArchivePrecision = "float32"

    def __init__(self, engine: Engine[np.ndarray], photo: bytes, spec: PreprocessingSpec) -> None:
        self.name = engine.name
        self._engine, self._photo, self._spec = engine, photo, spec

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return `(1, K) float32`; `batch` is ignored."""
        return self.outputs(batch).probabilities

    def outputs(self, batch: Sequence[np.ndarray]) -> Outputs:
        """Return what the engine makes of the photo; `batch` is ignored."""
        return self._engine.outputs([load_pixels(self._photo, self._spec)])


def config_of(candidate: str, **changes: Any) -> TrainConfig:
    """Return the quick preset for ARCHITECTURE:PIXELS."""
    architecture, _, size = candidate.partition(":")
    return replace(quick(), architecture=architecture, image_size_px=int(size), **changes)


@contextmanager
def engines_of(candidate: str) -> Iterator[dict[str, WholePhoto]]:
    """Yield ONNX Runtime, MNN and int8 for the network, which is not fine-tuned: speed does not depend on it."""
    config = config_of(candidate, data=SAMPLE)
    spec, photos = preprocessing_of(config), read_data(config)
    network = build_network(
        architecture=config.architecture, class_count=CLASSES, preprocessing=spec
    )
    if config.architecture in EMBEDDED:
        load_pretrained(
            network,
            weights="embedded",
            architecture=config.architecture,
            image_size_px=config.image_size_px,
        )
    photo = photos.of("test")[0].path.read_bytes()
    with tempfile.TemporaryDirectory() as work:
        onnx, mnn, int8 = (Path(work, name) for name in ("a.onnx", "a.mnn", "int8.onnx"))
        export_onnx(network.eval(), onnx, spec)
        convert(onnx, mnn)
        quantise(onnx, int8, photos=stratified_sample(photos.of("train"), 16), spec=spec)
        engines: dict[str, Engine[np.ndarray]] = {
            "onnx": OnnxEngine(onnx, thread_count=1),
            "mnn": MnnEngine(mnn, thread_count=1),
            "int8": OnnxEngine(int8, thread_count=1, precision="int8"),
        }
        yield {name: WholePhoto(engine, photo, spec) for name, engine in engines.items()}


def measure_speed(candidate: str, baseline: WholePhoto) -> dict[str, float]:
    """Return the milliseconds a photo takes in each engine, and the baseline's beside them."""
    with engines_of(candidate) as engines:
        everything = {**engines, "baseline_onnx": baseline}
        # The machine may do other work: what is slowed down by it is not the network's time.
        rounds = [
            time_interleaved(list(everything.values()), np.zeros((1, 1, 3), np.uint8))
            for _ in range(SPEED_ROUNDS)
        ]
    times_ms = [min(of_one) for of_one in zip(*rounds, strict=True)]
    figures = {name: round(ms, 2) for name, ms in zip(everything, times_ms, strict=True)}
    fastest = min(figures["onnx"], figures["mnn"])
    return {**figures, "photos_per_s_over_baseline": round(figures["baseline_onnx"] / fastest, 2)}


def measure_accuracy(candidate: str, command: Accuracy) -> dict[str, Any]:
    """Return test accuracy and training seconds of each seed, and if asked for what int8 costs the first."""
    name = f"{'-'.join(command.data.parts[-2:])}-{command.photos_per_class}-{command.freeze}-{candidate}"
    config = config_of(
        candidate, data=command.data, photos_per_class=command.photos_per_class,
        freeze=command.freeze, head_epochs=command.head_epochs, epochs=command.epochs,
    )  # fmt: skip
    runs = [
        evaluated_run(
            replace(config, seed=seed, out=WORK / "backbones" / f"{name}-{seed}".replace(":", "-"))
        )
        for seed in range(command.seeds)
    ]
    cost = {"int8": _int8_cost(Run(folder=Path(runs[0]["run"])))} if command.int8 else {}
    return {
        "accuracy": [run["accuracy"] for run in runs],
        "training_s": [round(run["training_s"], 1) for run in runs],
        "test_n": runs[0]["test_n"],
        "train_n": runs[0]["train_n"],
        "epochs": f"{config.head_epochs} + {config.total_epochs - config.frozen_epochs}",
        **cost,
    }


def _int8_cost(run: Run) -> dict[str, Any]:
    config = run.config()
    spec = preprocessing_of(config)
    with tempfile.TemporaryDirectory() as work:
        onnx, int8 = Path(work, "a.onnx"), Path(work, "int8.onnx")
        export_onnx(load_network(run), onnx, spec)
        cost, _ = quantise_and_compare(onnx, int8, photos=read_data(config), spec=spec)
        return cost.to_dict()


def tables(results: Mapping[str, Any]) -> str:
    """Return the table of speeds and that of accuracies as Markdown."""
    lines = [
        "| network | ONNX Runtime | MNN | int8 | photos/s, of EfficientNet-B0's at 224 px |",
        "|---|---:|---:|---:|---:|",
    ]
    for candidate, ms in sorted(results["speed_ms"].items()):
        cells = (f"{ms[engine]:.1f} ms" for engine in ("onnx", "mnn", "int8"))
        ratio = ms["photos_per_s_over_baseline"]
        lines.append(f"| {_name(candidate)} | {' | '.join(cells)} | {ratio:.2f} times |")
    lines += ["", "| network | photos | trained | epochs | test accuracy | training |"]
    lines.append("|---|---|---|---|---:|---:|")
    for photos, of_photos in results["accuracy"].items():
        for key, figures in of_photos.items():
            candidate, freeze, epochs = key.split(" ", 2)
            lines.append(
                f"| {_name(candidate)} | {photos} | {'head' if freeze == 'backbone' else 'whole network'} | {epochs} | "
                f"{_percent(figures['accuracy'])} | {statistics.fmean(figures['training_s']):.0f} s |"
            )
    return "\n".join([*lines, ""])


def _percent(accuracies: Sequence[float]) -> str:
    """Return the mean, with a deviation where there are several seeds."""
    if len(accuracies) > 1:
        return format_percent(accuracies)
    return f"{100 * accuracies[0]:.1f} %"


def _name(candidate: str) -> str:
    architecture, _, size = candidate.partition(":")
    return f"{architecture}, {size} px"


def main() -> int:
    command: Speed | Accuracy = tyro.cli(Command, description=__doc__)
    results = {"speed_ms": {}, "accuracy": {}, **read(command.results)}
    results["machine"] = machine.describe()
    if isinstance(command, Speed):
        torch.set_num_threads(1)
        with engines_of(BASELINE) as baseline:
            for candidate in command.candidates:
                figures = results["speed_ms"][candidate] = measure_speed(
                    candidate, baseline["onnx"]
                )
                _report(candidate, figures, command.results, results)
        return 0
    for candidate in command.candidates:
        figures = measure_accuracy(candidate, command)
        # The sample and the whole set are both called clothing.
        name = f"{'/'.join(command.data.parts[-2:])}, {command.photos_per_class or 'all'} photos a class"
        of_data = results["accuracy"].setdefault(name, {})
        of_data[f"{candidate} {command.freeze} {figures['epochs']}"] = figures
        _report(candidate, figures, command.results, results)
    return 0


def _report(candidate: str, figures: Mapping[str, Any], path: Path, results: Any) -> None:
    write(path, results)
    sys.stderr.write(f"{candidate}: {figures}\n")


if __name__ == "__main__":
    sys.exit(main())
