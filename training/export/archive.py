"""A run becomes an archive that TorchServe serves.

The contents stand in docs/architecture.md: the network (weights, ONNX, perhaps MNN), card,
probes, handler. Packed beside its place and renamed, so that a full disk or Ctrl-C leaves no half archive.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save

import handlers
from handlers.contract import (
    FLOAT32_PROBES_FILE,
    MNN_FILE,
    MODEL_CARD_FILE,
    ONNX_FILE,
    PROBES_FILE,
    WEIGHTS_FILE,
)
from handlers.engines.cpu_engines import OnnxEngine, describe_versions
from handlers.engines.mnn_engine import MnnEngine
from handlers.images.preprocessing import load_pixels
from handlers.model_card import ArchivePrecision, ModelCard
from handlers.settings import FRONTEND_DEFAULTS
from training.data.dataset import preprocessing_of
from training.data.source import read_labeled
from training.errors import ExportError, InputError
from training.evaluation.evaluation import load_network, sha256_of
from training.export.mnn import CpuEngine, add_mnn, make_mnn_engine
from training.export.names import check_name, check_version
from training.export.onnx import check_engine, export_onnx
from training.export.probes import INT8_TOLERANCE, TOLERANCE, choose_probes, write_probes
from training.export.quantisation import QuantisationCost, quantise_judged
from training.run import Run, open_finished_run


def export_archive(
    run_folder: Path,
    *,
    name: str,
    version: str,
    model_store: Path,
    overwrite: bool = False,
    model_config: Mapping[str, Any] = FRONTEND_DEFAULTS,
    precision: ArchivePrecision = "float32",
    cpu_engine: CpuEngine = "auto",
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Return the archive `NAME-VERSION.mar` in the model store; `model_config` is how it wants to be served.

    Which engine serves it on CPUs is measured here with auto, and what int8 costs on the run's val photos; `report`
    is told, line by line.

    Raises:
        InputError: a name or version that cannot stand in a URL, an archive that is there already.
        RunError: no finished and evaluated run.
        ExportError: it could not be made, or computes something else than the run's network.
    """
    check_name(name)
    check_version(version)
    if precision == "int8" and cpu_engine == "mnn":
        raise InputError(
            "--cpu-engine is 'mnn', which computes no int8; leave it out, or give --precision float32."
        )
    target = model_store / f"{name}-{version}.mar"
    if target.exists() and not overwrite:
        raise InputError(
            f"{target} exists already; give a new --version, or --overwrite to replace it."
        )
    run = open_finished_run(run_folder)
    evaluation = run.evaluation()
    if evaluation["weights_sha256"] != sha256_of(run.best_path):
        raise InputError(
            f"the run {run_folder} has changed since it was evaluated; "
            f"run `headswap evaluate {run_folder}` again."
        )
    probes = choose_probes(evaluation)
    try:
        model_store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=model_store) as work:
            stage = Path(work) / "stage"
            stage.mkdir()
            told: list[str] = []
            cost = _write_network(
                stage,
                run,
                probes,
                temperature=evaluation["temperature"],
                precision=precision,
                cpu_engine=cpu_engine,
                report=told.append,
            )
            card = _make_card(
                run,
                evaluation,
                name=name,
                version=version,
                weights_sha256=sha256_of(stage / WEIGHTS_FILE),
                cost=cost,
            )
            (stage / MODEL_CARD_FILE).write_text(card.to_json())
            config_text = yaml.safe_dump(dict(model_config), sort_keys=False)
            (stage / "model-config.yaml").write_text(config_text)
            _copy_handlers(stage)
            os.replace(_pack(stage, Path(work), name=name, version=version), target)
    except OSError as error:
        raise ExportError(
            f"{target} could not be written: {error.strerror or error}. Nothing was left behind."
        ) from None
    for line in told:
        report(line)
    return target


def _write_network(
    stage: Path,
    run: Run,
    photos: Sequence[Path],
    *,
    temperature: float,
    precision: ArchivePrecision,
    cpu_engine: CpuEngine,
    report: Callable[[str], None],
) -> QuantisationCost | None:
    """Write the network in all its forms and the probes of each; return what its quantisation costs, if any."""
    spec = preprocessing_of(run.config())
    pixels = [load_pixels(photo.read_bytes(), spec) for photo in photos]
    network = load_network(run, temperature=temperature)
    onnx_path = stage / ONNX_FILE
    (stage / WEIGHTS_FILE).write_bytes(_weights(run))
    export_onnx(network, onnx_path, spec)
    with torch.inference_mode():
        rows = network(torch.from_numpy(np.stack(pixels))).numpy()
    check_engine(OnnxEngine(onnx_path, thread_count=1), pixels, rows)
    if precision == "float32":
        write_probes(stage / PROBES_FILE, photos, rows, tolerance=TOLERANCE)
        mnn_path = stage / MNN_FILE
        report(add_mnn(onnx_path, mnn_path, pixels=pixels, expected=rows, wanted=cpu_engine))
        return None
    write_probes(stage / FLOAT32_PROBES_FILE, photos, rows, tolerance=TOLERANCE)
    # Outside of the stage, whose files all go into the archive.
    float32_path = onnx_path.rename(stage.parent / "float32.onnx")
    others: list[MnnEngine] = []
    with contextlib.suppress(ExportError):
        mnn_path = float32_path.with_suffix(".mnn")
        others.append(make_mnn_engine(float32_path, mnn_path, pixels=pixels, expected=rows))
    cost = quantise_judged(
        float32_path, onnx_path, photos=read_labeled(run.config()), spec=spec, others=others
    )
    rows = OnnxEngine(onnx_path, thread_count=1).probabilities(pixels)
    write_probes(stage / PROBES_FILE, photos, rows, tolerance=INT8_TOLERANCE)
    for line in cost.lines():
        report(line)
    return cost


def _weights(run: Run) -> bytes:
    return save({key: value.contiguous() for key, value in load_file(run.best_path).items()})


def _make_card(
    run: Run,
    evaluation: dict[str, Any],
    *,
    name: str,
    version: str,
    weights_sha256: str,
    cost: QuantisationCost | None,
) -> ModelCard:
    config, data = run.config(), run.data()
    return ModelCard(
        name=name,
        version=version,
        architecture=config.architecture,
        class_names=tuple(data["class_names"]),
        preprocessing=preprocessing_of(config),
        temperature=evaluation["temperature"],
        metrics={
            "val": evaluation["val"],
            evaluation["split"]: {key: evaluation[key] for key in ("accuracy", "n", "interval")},
        },
        training_run=run.folder.name,
        data_fingerprint=data["fingerprint"],
        weights_sha256=weights_sha256,
        library_versions={key: value or "" for key, value in describe_versions().items()},
        precision="float32" if cost is None else "int8",
        quantisation={} if cost is None else cost.to_dict(),
        licence_note=data["licence_note"],
    )


def _copy_handlers(stage: Path) -> None:
    source = Path(handlers.__file__).parent
    shutil.copyfile(source / "entry.py", stage / "entry.py")
    shutil.copytree(source, stage / "handlers", ignore=shutil.ignore_patterns("__pycache__"))


def _pack(stage: Path, work: Path, *, name: str, version: str) -> Path:
    """Return the archive torch-model-archiver makes of the stage, inside `work`."""
    single_files = [path.name for path in sorted(stage.iterdir()) if path.is_file()]
    for made_by_other_flags in ("entry.py", "model-config.yaml"):
        single_files.remove(made_by_other_flags)
    # A folder's contents land at the root, so each package travels inside a folder of its own.
    for package in ("handlers", "probes"):
        (work / f"{package}-parent").mkdir()
        (stage / package).rename(work / f"{package}-parent" / package)
    extra = [*(f"stage/{file}" for file in single_files), "handlers-parent", "probes-parent"]
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", name, "--version", version, "--handler", "stage/entry.py",
        "--config-file", "stage/model-config.yaml", "--extra-files", ",".join(extra),
        "--export-path", ".", "--archive-format", "zip-store",
    ]  # fmt: skip
    scratch = work / "scratch"
    scratch.mkdir()
    # Relative paths from inside the folder: the archiver splits its list at commas, which a model
    # store's path may hold.
    finished = subprocess.run(
        command,
        cwd=work,
        env={**os.environ, "TMPDIR": str(scratch.resolve())},
        capture_output=True,
        text=True,
    )
    if finished.returncode != 0:
        told = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
        raise ExportError(
            f"torch-model-archiver failed: {told[-1] if told else 'it said nothing'}."
        )
    return work / f"{name}.mar"
