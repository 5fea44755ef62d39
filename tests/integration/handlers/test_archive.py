"""An extracted archive in a worker process, with the archive's folder first on the path."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from safetensors.torch import save_file

import handlers
from handlers.contract import ONNX_INPUT, ONNX_OUTPUT
from handlers.engines.network import build_network
from handlers.images.preprocessing import PreprocessingSpec, load_pixels
from handlers.model_card import ModelCard

SPEC = PreprocessingSpec(image_size_px=64)
CLASSES = ("dress", "hat", "pants")

# What a worker does, and no more: TorchServe's loader and service, then one batch of two requests.
WORKER = '''
import json, logging, sys
logging.basicConfig(level=logging.INFO)
folder, photo, blocked, installed_first = json.loads(sys.argv[1])
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
class Without:
    """Finds what PathFinder finds, except the blocked modules, as if they were not installed."""
    def find_spec(self, name, path=None, target=None):
        blocks = name.split(".")[0] in blocked
        return None if blocks else PathFinder.find_spec(name, path, target)
# No other finders: that of an editable installation would find this project.
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Without()]
sys.path[:0] = [installed_first, folder]
from ts.model_loader import TsModelLoader
service = TsModelLoader().load("clothing", folder, "entry.py", None, 4, None, True, None)
import handlers
class Silent:
    request_ids = None
    def add_time(self, *_): pass
service.context.metrics = Silent()
service.set_cl_socket(None)
bodies = []
import ts.service
ts.service.create_predict_response = lambda ret, *rest, **more: bodies.extend(ret)
def item(number, data):
    parameter = {"name": "body", "value": bytearray(data), "contentType": "image/png"}
    headers = [{"name": b"Host", "value": b"x"}, {"name": b"url_path", "value": b""}]
    return {"requestId": b"%d" % number, "parameters": [parameter], "headers": headers}
service.predict([item(1, open(photo, "rb").read()), item(2, b"bad")])
print(json.dumps({
    "handlers": handlers.__file__,
    "bodies": [json.loads(body) for body in bodies],
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
}))
'''


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory, photo) -> tuple[Path, list[float]]:
    """Return a ResNet-18 with random weights as an extracted archive, and its probabilities for the photo."""
    folder = tmp_path_factory.mktemp("archive")
    torch.manual_seed(0)
    network = build_network(architecture="resnet18", class_count=3, preprocessing=SPEC).eval()
    save_file(network.backbone_and_head.state_dict(), folder / "weights.safetensors")
    with torch.inference_mode():
        pixels = torch.from_numpy(load_pixels(photo.read_bytes(), SPEC))
        row = network(pixels[None])[0].tolist()
    card = ModelCard(
        name="clothing",
        version="1.0",
        architecture="resnet18",
        class_names=CLASSES,
        preprocessing=SPEC,
        temperature=1.0,
        metrics={},
        training_run="",
        data_fingerprint="",
        weights_sha256=hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest(),
        library_versions={},
        precision="float32",
        quantisation={},
        licence_note="random",
    )
    (folder / "model_card.json").write_text(card.to_json())
    (folder / "probes").mkdir()
    shutil.copy(photo, folder / "probes" / "photo.png")
    probes = {"tolerance": 0.001, "probes": [{"file": "photo.png", "probabilities": row}]}
    (folder / "probes" / "probes.json").write_text(json.dumps(probes))
    source = Path(handlers.__file__).parent
    shutil.copytree(source, folder / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "entry.py", folder / "entry.py")
    return folder, row


def run_worker(
    folder: Path, photo: Path, *, blocked: list[str], installed_first: str = ""
) -> tuple:
    arguments = json.dumps([str(folder), str(photo), blocked, installed_first])
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONWARNINGS")}
    finished = subprocess.run(
        [sys.executable, "-c", WORKER, arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1]), finished.stderr


def modules_beyond(*kept: str) -> list[str]:
    """Return all installed modules except those of these distributions and their requirements.

    `handlers` is not among them, because the archive brings its own.
    """
    wanted, known = list(kept), set()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in known:
            continue
        known.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            lines = [Requirement(text) for text in metadata.requires(name) or []]
            wanted += [line.name for line in lines if line.marker is None or line.marker.evaluate()]
    modules = {
        module
        for module, owners in metadata.packages_distributions().items()
        if not known & {canonicalize_name(owner) for owner in owners}
    }
    return sorted((modules | {"serving", "training", "headswap"}) - {"handlers"})


def test_a_plain_torchserve_serves_it_more_slowly_and_says_so(archive, photo) -> None:
    folder, row = archive
    blocked = modules_beyond("torch", "torchvision", "pillow", "torchserve", "pyyaml")
    assert {"onnxruntime", "simplejpeg", "captum", "safetensors", "serving", "training"} <= set(
        blocked
    )
    output, log = run_worker(folder, photo, blocked=blocked)
    body, rejected = output["bodies"]
    probabilities = {p["index"]: p["probability"] for p in body["predictions"]}
    assert [probabilities[index] for index in range(3)] == pytest.approx(row, abs=1e-4)
    assert rejected["error"]["code"] == "undecodable_image"
    assert "simplejpeg is not installed" in log
    assert "PyTorch serves instead" in log


@pytest.mark.parametrize("has_onnxruntime", [True, False])
def test_a_quantised_archive_is_served_in_float32_where_onnxruntime_is_missing(
    archive, photo, tmp_path, has_onnxruntime: bool
) -> None:
    folder, row = shutil.copytree(archive[0], tmp_path / "int8"), archive[1]
    quantised = row[::-1]
    onnx.save(constant_model(quantised), folder / "model.onnx")
    card = json.loads((folder / "model_card.json").read_text())
    (folder / "model_card.json").write_text(json.dumps(card | {"precision": "int8"}))
    (folder / "probes" / "probes.json").rename(folder / "probes" / "float32.json")
    probes = {"tolerance": 0.001, "probes": [{"file": "photo.png", "probabilities": quantised}]}
    (folder / "probes" / "probes.json").write_text(json.dumps(probes))
    output, log = run_worker(folder, photo, blocked=[] if has_onnxruntime else ["onnxruntime"])
    probabilities = {p["index"]: p["probability"] for p in output["bodies"][0]["predictions"]}
    expected = quantised if has_onnxruntime else row
    assert [probabilities[index] for index in range(3)] == pytest.approx(expected, abs=1e-4)
    assert ("serves the float32 weights instead" in log) is not has_onnxruntime


def test_the_archives_own_package_takes_precedence_over_an_installed_one(
    archive, photo, tmp_path
) -> None:
    folder, _ = archive
    decoy = tmp_path / "handlers"
    decoy.mkdir()
    (decoy / "__init__.py").write_text("raise RuntimeError('the installed one was loaded')")
    output, _ = run_worker(folder, photo, blocked=[], installed_first=str(tmp_path))
    assert Path(output["handlers"]).parent == folder / "handlers"


def test_no_heavy_library_is_imported_without_need(archive, photo, tmp_path) -> None:
    folder = shutil.copytree(archive[0], tmp_path / "with_onnx")
    row = json.loads((folder / "probes" / "probes.json").read_text())["probes"][0]["probabilities"]
    onnx.save(constant_model(row), folder / "model.onnx")
    output, log = run_worker(folder, photo, blocked=[])
    assert "onnxruntime" in output["loaded"], log
    # What TorchServe's own worker imports (torch, psutil, yaml) cannot be avoided.
    heavy = {"torchvision", "captum", "matplotlib", "safetensors", "onnx", "onnxscript"}
    heavy |= {"scipy", "pandas", "sympy", "torchmetrics", "cv2", "requests", "grpc", "training"}
    assert not heavy & set(output["loaded"])


def constant_model(row: list[float]) -> onnx.ModelProto:
    """Return a network with the output `row` for any input."""
    weights = numpy_helper.from_array(np.array([row], np.float32), "row")
    zeros = numpy_helper.from_array(np.zeros((SPEC.image_size_px**2 * 3, 1), np.float32), "zeros")
    ones = numpy_helper.from_array(np.ones((1, 1), np.float32), "ones")
    shape = numpy_helper.from_array(np.array([-1, SPEC.image_size_px**2 * 3]), "shape")
    nodes = [
        helper.make_node("Cast", [ONNX_INPUT], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["rows"]),
        helper.make_node("MatMul", ["rows", "zeros"], ["nothing"]),
        helper.make_node("Add", ["nothing", "ones"], ["one"]),
        helper.make_node("MatMul", ["one", "row"], [ONNX_OUTPUT]),
    ]
    sides = [SPEC.image_size_px, SPEC.image_size_px, 3]
    pixels = helper.make_tensor_value_info(ONNX_INPUT, TensorProto.UINT8, ["B", *sides])
    rows = helper.make_tensor_value_info(ONNX_OUTPUT, TensorProto.FLOAT, ["B", len(row)])
    graph = helper.make_graph(nodes, "constant", [pixels], [rows], [weights, zeros, ones, shape])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_changed_weights_are_refused(archive, photo, tmp_path) -> None:
    folder = shutil.copytree(archive[0], tmp_path / "changed")
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)
    arguments = json.dumps([str(folder), str(photo), [], ""])
    finished = subprocess.run(
        [sys.executable, "-c", WORKER, arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode != 0
    assert "RuntimeError: weights.safetensors has the sha256" in finished.stderr
