"""Pack a run into an archive that TorchServe serves.

docs/architecture.md lists the contents: the network (weights, ONNX, perhaps MNN), model card, probes and handler. The
archive is packed under a temporary name and renamed, so that a full disk or Ctrl-C leaves no incomplete one.
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
from safetensors.numpy import save as save_arrays
from safetensors.torch import load_file, save

import handlers
from handlers.contract import (
    ENTRY_FILE,
    FLOAT32_PROBES_FILE,
    HANDLER_PACKAGE,
    MNN_FILE,
    MODEL_CARD_FILE,
    MODEL_CONFIG_FILE,
    ONNX_FILE,
    PROBES_FILE,
    PROBES_FOLDER,
    UNKNOWN_FILE,
    UNKNOWN_SCALE_INT8,
    WEIGHTS_FILE,
    archive_file_name,
)
from handlers.engines.engine import Outputs
from handlers.engines.mnn_engine import MnnEngine
from handlers.engines.onnx_engine import OnnxEngine
from handlers.engines.unknown import UnknownScorer
from handlers.model_card import ArchivePrecision, ModelCard, installed_versions
from handlers.settings import FRONTEND_DEFAULTS
from storage import sha256_of
from training.data.checked import load_checked
from training.data.dataset import preprocessing_of
from training.errors import ExportError, TrainingInputError
from training.evaluation.evaluation import load_network
from training.export.mnn import CpuEngine, add_mnn, make_mnn_engine
from training.export.model_config import check_name, check_version, with_limits
from training.export.onnx import check_engine, export_onnx
from training.export.probes import INT8_TOLERANCE, TOLERANCE, choose_probes, write_probes
from training.export.quantisation import QuantisationCost, quantise_and_compare
from training.own_photos import read_own_photos
from training.run import Run, open_finished_run
from training.unknown.run_score import FittedScore, read_score


def export_archive(
    run_folder: Path,
    *,
    name: str,
    version: str,
    model_store: Path,
    data: Path | None = None,
    overwrite: bool = False,
    model_config: Mapping[str, Any] = FRONTEND_DEFAULTS,
    precision: ArchivePrecision = "float32",
    cpu_engine: CpuEngine = "auto",
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write `NAME-VERSION.mar` to the model store and return its path; `model_config` are its TorchServe settings.

    `data` is the folder to which the run's photos have moved.
    With `cpu_engine` auto, ONNX Runtime and MNN are timed here and the faster one is chosen. For int8, agreement and
    speed against float32 are measured on the run's val photos. `report` receives these results, line by line.

    Raises:
        TrainingInputError: the name or version is not allowed, or the archive exists.
        RunError: not a finished and evaluated run.
        ExportError: the archive could not be written, or does not compute what the run's network does.
    """
    check_name(name)
    check_version(version)
    if precision == "int8" and cpu_engine == "mnn":
        raise TrainingInputError(
            "--cpu-engine mnn does not support --precision int8; leave out one of them."
        )
    target = model_store / archive_file_name(name, version)
    if target.exists() and not overwrite:
        raise TrainingInputError(
            f"{target} already exists; give a new --version, or --overwrite to replace it."
        )
    run = open_finished_run(run_folder)
    if data is not None:
        read_own_photos(run, data)
    evaluation = run.evaluation()
    if evaluation["weights_sha256"] != sha256_of(run.best_path):
        raise TrainingInputError(
            f"the run {run_folder} has changed since it was evaluated; "
            f"run `headswap evaluate {run_folder}` again."
        )
    probes = choose_probes(evaluation)
    try:
        model_store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=model_store) as work:
            stage = Path(work) / "stage"
            stage.mkdir()
            messages: list[str] = []
            fitted = read_score(run, weights_sha256=evaluation["weights_sha256"])
            cost, int8_scorer = _write_network(
                stage,
                run,
                probes,
                temperature=evaluation["temperature"],
                precision=precision,
                cpu_engine=cpu_engine,
                fitted=fitted,
                report=messages.append,
            )
            card = _make_card(
                run,
                evaluation,
                name=name,
                version=version,
                weights_sha256=sha256_of(stage / WEIGHTS_FILE),
                cost=cost,
                unknown={}
                if fitted is None
                else _pack_unknown(stage, fitted, int8_scorer, evaluation),
            )
            (stage / MODEL_CARD_FILE).write_text(card.to_json())
            settings = with_limits(model_config, run.config().limits)
            config_text = yaml.safe_dump(settings, sort_keys=False)
            (stage / MODEL_CONFIG_FILE).write_text(config_text)
            _copy_handlers(stage)
            os.replace(_pack(stage, Path(work), name=name, version=version), target)
    except OSError as error:
        raise ExportError(
            f"{target} could not be written: {error.strerror or error}. No incomplete archive was left behind."
        ) from None
    for line in messages:
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
    fitted: FittedScore | None,
    report: Callable[[str], None],
) -> tuple[QuantisationCost | None, UnknownScorer | None]:
    """Write the network in each of its formats, and probes for it; return the cost of int8 and its unknown score."""
    scorer = None if fitted is None else fitted.scorer
    spec = preprocessing_of(run.config())
    pixels = [load_checked(photo, spec) for photo in photos]
    network = load_network(run, temperature=temperature)
    onnx_path = stage / ONNX_FILE
    (stage / WEIGHTS_FILE).write_bytes(_weights(run))
    export_onnx(network, onnx_path, spec)
    with torch.inference_mode():
        computed = network.outputs(torch.from_numpy(np.stack(pixels)))
    outputs = Outputs(*(output.numpy() for output in computed))
    rows = outputs.probabilities
    check_engine(OnnxEngine(onnx_path, thread_count=1), pixels, rows)
    if precision == "float32":
        write_probes(stage / PROBES_FILE, photos, outputs, tolerance=TOLERANCE, scorer=scorer)
        mnn_path = stage / MNN_FILE
        report(add_mnn(onnx_path, mnn_path, pixels=pixels, expected=rows, cpu_engine=cpu_engine))
        return None, None
    write_probes(stage / FLOAT32_PROBES_FILE, photos, outputs, tolerance=TOLERANCE, scorer=scorer)
    # Outside the stage, because all files in the stage go into the archive.
    float32_path = onnx_path.rename(stage.parent / "float32.onnx")
    others: list[MnnEngine] = []
    with contextlib.suppress(ExportError):
        mnn_path = float32_path.with_suffix(".mnn")
        others.append(make_mnn_engine(float32_path, mnn_path, pixels=pixels, expected=rows))
    cost, int8_scorer = quantise_and_compare(
        float32_path,
        onnx_path,
        photos=read_own_photos(run),
        spec=spec,
        fitted=fitted,
        others=others,
    )
    outputs = OnnxEngine(onnx_path, thread_count=1).outputs(pixels)
    write_probes(stage / PROBES_FILE, photos, outputs, tolerance=INT8_TOLERANCE, scorer=int8_scorer)
    for line in cost.lines():
        report(line)
    return cost, int8_scorer


def _pack_unknown(
    stage: Path, fitted: FittedScore, int8_scorer: UnknownScorer | None, evaluation: dict[str, Any]
) -> dict[str, Any]:
    """Write the run's unknown score to the stage, with int8's scale if there is one, and return what the card says."""
    arrays = fitted.scorer.arrays()
    if int8_scorer is not None:
        arrays[UNKNOWN_SCALE_INT8] = int8_scorer.scale
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    (stage / UNKNOWN_FILE).write_bytes(save_arrays(contiguous))
    return {**evaluation.get("unknown", {}), "sha256": sha256_of(stage / UNKNOWN_FILE)}


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
    unknown: dict[str, Any],
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
        library_versions={key: value or "" for key, value in installed_versions().items()},
        precision="float32" if cost is None else "int8",
        quantisation={} if cost is None else cost.to_dict(),
        licence_note=data["licence_note"],
        unknown=unknown,
    )


def _copy_handlers(stage: Path) -> None:
    source = Path(handlers.__file__).parent
    shutil.copyfile(source / ENTRY_FILE, stage / ENTRY_FILE)
    shutil.copytree(source, stage / HANDLER_PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))


def _pack(stage: Path, work: Path, *, name: str, version: str) -> Path:
    """Return the archive that torch-model-archiver makes of the stage, inside `work`."""
    single_files = [path.name for path in sorted(stage.iterdir()) if path.is_file()]
    for file_with_own_flag in (ENTRY_FILE, MODEL_CONFIG_FILE):
        single_files.remove(file_with_own_flag)
    # The archiver puts a folder's contents at the root of the archive, so each folder gets a parent folder.
    parents = []
    for folder in (HANDLER_PACKAGE, PROBES_FOLDER):
        parents.append(f"{folder}-parent")
        (work / parents[-1]).mkdir()
        (stage / folder).rename(work / parents[-1] / folder)
    extra_files = [*(f"stage/{file}" for file in single_files), *parents]
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", name, "--version", version, "--handler", f"stage/{ENTRY_FILE}",
        "--config-file", f"stage/{MODEL_CONFIG_FILE}", "--extra-files", ",".join(extra_files),
        "--export-path", ".", "--archive-format", "zip-store",
    ]  # fmt: skip
    scratch = work / "scratch"
    scratch.mkdir()
    # Relative paths from inside the folder: the archiver splits its list at commas, and the model store's path may
    # contain some.
    finished = subprocess.run(
        command,
        cwd=work,
        env={**os.environ, "TMPDIR": str(scratch.resolve())},
        capture_output=True,
        text=True,
    )
    if finished.returncode != 0:
        output = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
        raise ExportError(
            f"torch-model-archiver failed: {output[-1] if output else 'it printed nothing'}."
        )
    return work / f"{name}.mar"
