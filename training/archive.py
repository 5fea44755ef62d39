"""A run becomes an archive that TorchServe serves.

The contents stand in docs/architecture.md: the network twice (ONNX and weights), card, probes,
handler. Packed beside its place and renamed, so that a full disk or Ctrl-C leaves no half archive.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save

import handlers
from handlers.archive import ONNX_FILE, PROBES_FILE, WEIGHTS_FILE
from handlers.decoding import decode_photo
from handlers.engines import ONNX_INPUT, ONNX_OUTPUT, describe_versions
from handlers.model_card import FILE_NAME as CARD_FILE
from handlers.model_card import ModelCard
from handlers.network import Network
from handlers.preprocessing import PreprocessingSpec, load_pixels
from handlers.settings import FRONTEND_DEFAULTS
from training.dataset import preprocessing_of
from training.errors import ExportError, InputError
from training.evaluation import load_network, sha256_of
from training.names import check_name, check_version
from training.run import Run, open_finished_run

PROBE_COUNT = 4
# Largest difference of a probability a probe may show at load. Float32 engines differ by 1e-6; a
# GPU computes in half precision and decodes with other rounding.
PROBE_TOLERANCE = 0.02
# Largest difference between the ONNX file and the network it was made of.
ONNX_TOLERANCE = 1e-4


def export_archive(
    run_folder: Path,
    *,
    name: str,
    version: str,
    model_store: Path,
    overwrite: bool = False,
    model_config: Mapping[str, Any] = FRONTEND_DEFAULTS,
) -> Path:
    """Return the archive `NAME-VERSION.mar` in the model store; `model_config` is how it wants to be served.

    Raises:
        InputError: a name or version that cannot stand in a URL, an archive that is there already.
        RunError: no finished and evaluated run.
        ExportError: it could not be made, or computes something else than the run's network.
    """
    check_name(name)
    check_version(version)
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
    network = load_network(run, temperature=evaluation["temperature"])
    probes = choose_probes(evaluation)
    try:
        model_store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=model_store) as work:
            stage = Path(work) / "stage"
            stage.mkdir()
            _fill(
                stage,
                run,
                network,
                evaluation=evaluation,
                probes=probes,
                name=name,
                version=version,
                model_config=model_config,
            )
            os.replace(_pack(stage, Path(work), name=name, version=version), target)
    except OSError as error:
        raise ExportError(
            f"{target} could not be written: {error.strerror or error}. Nothing was left behind."
        ) from None
    return target


def _fill(
    stage: Path,
    run: Run,
    network: Network,
    *,
    evaluation: dict[str, Any],
    probes: Sequence[Path],
    name: str,
    version: str,
    model_config: Mapping[str, Any],
) -> None:
    config, spec = run.config(), preprocessing_of(run.config())
    weights = save({key: value.contiguous() for key, value in load_file(run.best_path).items()})
    (stage / WEIGHTS_FILE).write_bytes(weights)
    data = run.data()
    card = ModelCard(
        name=name,
        version=version,
        architecture=config.architecture,
        class_names=tuple(data["class_names"]),
        preprocessing=spec,
        temperature=evaluation["temperature"],
        metrics={
            "val": evaluation["val"],
            evaluation["split"]: {key: evaluation[key] for key in ("accuracy", "n", "interval")},
        },
        training_run=run.folder.name,
        data_fingerprint=data["fingerprint"],
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        library_versions={key: value or "" for key, value in describe_versions().items()},
        licence_note=data["licence_note"],
    )
    (stage / CARD_FILE).write_text(card.to_json())
    (stage / "model-config.yaml").write_text(yaml.safe_dump(dict(model_config), sort_keys=False))
    _write_probes(stage, network, probes, spec)
    export_onnx(network, stage / ONNX_FILE, spec)
    _check_onnx(network, stage / ONNX_FILE, probes, spec)
    _copy_handlers(stage)


def choose_probes(evaluation: dict[str, Any]) -> list[Path]:
    """Return a few judged photos spread over the classes, both an upright and a wide one if any.

    Raises:
        ExportError: a photo the run was judged on is not there any more.
    """
    photos = [Path(photo["path"]) for photo in evaluation["photos"]]
    try:
        chosen = photos[:: max(1, len(photos) // PROBE_COUNT)][:PROBE_COUNT]
        shapes = {_is_upright(photo) for photo in chosen}
        other = next((photo for photo in photos if _is_upright(photo) not in shapes), None)
    except OSError as error:
        raise ExportError(
            f"a photo the run was judged on cannot be read ({error}); evaluate the run again."
        ) from None
    return chosen if other is None else [*chosen[:-1], other]


def _is_upright(photo: Path) -> bool:
    image = decode_photo(photo.read_bytes(), shorter_side_px=16)
    return image.height > image.width


@torch.inference_mode()
def _probabilities(
    network: Network, photos: Sequence[Path], spec: PreprocessingSpec
) -> torch.Tensor:
    pixels = [torch.from_numpy(load_pixels(photo.read_bytes(), spec)) for photo in photos]
    answered: torch.Tensor = network(torch.stack(pixels))
    return answered


def _write_probes(
    stage: Path, network: Network, photos: Sequence[Path], spec: PreprocessingSpec
) -> None:
    index = stage / PROBES_FILE
    index.parent.mkdir()
    rows = _probabilities(network, photos, spec).tolist()
    probes = []
    for number, (photo, row) in enumerate(zip(photos, rows, strict=True)):
        file = f"{number}{photo.suffix.lower()}"
        shutil.copyfile(photo, index.parent / file)
        probes.append({"file": file, "probabilities": row})
    index.write_text(json.dumps({"tolerance": PROBE_TOLERANCE, "probes": probes}, indent=1))


def export_onnx(network: Network, path: Path, spec: PreprocessingSpec) -> None:
    """Write the whole network: `pixels` `(B, S, S, 3) uint8` to `probabilities` `(B, K)`, any B."""
    # Two photos, because with one the exporter takes the batch size for a constant.
    example = torch.zeros(2, spec.image_size_px, spec.image_size_px, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # The exporter warns of its own deprecated calls; nothing here can change them.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=[ONNX_INPUT],
            output_names=[ONNX_OUTPUT],
            dynamic_shapes={"pixels": {0: torch.export.Dim.DYNAMIC}},
        )


def _check_onnx(
    network: Network, path: Path, photos: Sequence[Path], spec: PreprocessingSpec
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for part in (photos[:1], photos):
        pixels = torch.stack(
            [torch.from_numpy(load_pixels(photo.read_bytes(), spec)) for photo in part]
        )
        answered = torch.from_numpy(session.run([ONNX_OUTPUT], {ONNX_INPUT: pixels.numpy()})[0])
        difference = float((answered - _probabilities(network, part, spec)).abs().max())
        if not difference <= ONNX_TOLERANCE:
            raise ExportError(
                f"the exported network differs by {difference:.2g} from the trained one; "
                f"at most {ONNX_TOLERANCE} is allowed. Another version of onnx or onnxruntime may "
                "help (constraints.txt names tested ones)."
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
