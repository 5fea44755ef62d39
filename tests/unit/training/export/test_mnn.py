"""Which archives get a file for MNN, and that making it fails in one sentence."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from handlers.engines.mnn_engine import MnnEngine
from handlers.engines.network import Network
from handlers.images.preprocessing import PreprocessingSpec
from training.errors import ExportError
from training.export import mnn
from training.export.engine_speed import TURNS, TURNS_MIN, time_in_turns
from training.export.mnn import add_mnn, convert
from training.export.onnx import export_onnx

SIZE_PX = 12
SPEC = PreprocessingSpec(image_size_px=SIZE_PX)
PIXELS = list(np.random.default_rng(0).integers(0, 256, (3, SIZE_PX, SIZE_PX, 3), np.uint8))


def small_network(*, seed: int) -> Network:
    torch.manual_seed(seed)
    layers = (torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    body = torch.nn.Sequential(*layers, torch.nn.Linear(8, 4))
    return Network(body, preprocessing=SPEC).eval()


def answers_of(network: Network) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(np.stack(PIXELS))).numpy()


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return answers_of(small_network(seed=0))


@pytest.fixture(scope="module")
def onnx_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    export_onnx(small_network(seed=0), path, SPEC)
    return path


def add(expected: np.ndarray, onnx_path: Path, target: Path, wanted: str) -> str:
    return add_mnn(onnx_path, target, pixels=PIXELS, expected=expected, wanted=wanted)


@pytest.mark.parametrize(
    ("wanted", "ms", "kept"),
    [
        ("auto", (40.0, 26.0), True),
        ("auto", (40.0, 39.0), False),
        ("auto", (40.0, 60.0), False),
        ("mnn", (40.0, 60.0), True),
        ("onnx", (40.0, 26.0), False),
    ],
)
def test_the_file_comes_along_where_it_is_wanted_or_faster(
    expected, onnx_path, tmp_path, monkeypatch, wanted, ms, kept
) -> None:
    monkeypatch.setattr(mnn, "time_in_turns", lambda engines, pixels: list(ms))
    target = tmp_path / "model.mnn"
    told = add(expected, onnx_path, target, wanted)
    assert target.exists() is kept
    assert told.startswith(f"CPUs serve it with {'MNN' if kept else 'ONNX Runtime'}")
    assert wanted == "onnx" or f"ONNX Runtime {ms[0]} ms and MNN {ms[1]} ms" in told
    assert list(tmp_path.iterdir()) == ([target] if kept else [])


def test_the_file_computes_what_the_network_does(expected, onnx_path, tmp_path) -> None:
    add(expected, onnx_path, tmp_path / "model.mnn", "mnn")
    rows = MnnEngine(tmp_path / "model.mnn", thread_count=1).probabilities(PIXELS)
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_the_library_tells_whoever_exports_nothing(expected, onnx_path, tmp_path) -> None:
    script = (
        "import sys, pickle; from pathlib import Path; from training.export.mnn import add_mnn; "
        "onnx, target, pixels, expected = pickle.load(open(sys.argv[1], 'rb')); print('before'); "
        "add_mnn(onnx, target, pixels=pixels, expected=expected, wanted='mnn'); print('after')"
    )
    given = (onnx_path, tmp_path / "model.mnn", PIXELS, expected)
    (tmp_path / "given").write_bytes(pickle.dumps(given))
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "given"], capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["before", "after"], done.stderr


def test_a_file_that_answers_otherwise_never_comes_along(onnx_path, tmp_path) -> None:
    other = answers_of(small_network(seed=1))
    target = tmp_path / "model.mnn"
    assert "differs by" in add(other, onnx_path, target, "auto")
    assert not target.exists()
    with pytest.raises(ExportError, match="differs by .* in MNN from the trained one"):
        add(other, onnx_path, target, "mnn")
    assert not target.exists()


def test_what_cannot_be_converted_is_one_sentence(expected, tmp_path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not an ONNX file")
    target = tmp_path / "model.mnn"
    with pytest.raises(ExportError, match=r"^MNN cannot convert the network: [^\n]+\.$"):
        convert(broken, target)
    assert "ONNX Runtime: MNN cannot convert" in add(expected, broken, target, "auto")


def test_what_is_converted_and_cannot_be_computed_is_one_sentence(
    expected, onnx_path, tmp_path, monkeypatch
) -> None:
    target = tmp_path / "model.mnn"
    monkeypatch.setattr(mnn, "convert", lambda source, made: made.write_bytes(b"broken"))
    assert "ONNX Runtime: MNN cannot compute" in add(expected, onnx_path, target, "auto")
    with pytest.raises(ExportError, match=r"^MNN cannot compute the network: [^\n]+\.$"):
        add(expected, onnx_path, target, "mnn")
    assert not target.exists()


def test_converting_reports_to_nobody(onnx_path, tmp_path, monkeypatch) -> None:
    """The converter's own command line sends what it did to its makers, and installs a package to do so."""
    check = "; assert not [n for n in sys.modules if n.startswith(('MNN', 'aliyun'))], 'reporting'"
    monkeypatch.setattr(mnn, "CONVERTER", mnn.CONVERTER + check)
    convert(onnx_path, tmp_path / "model.mnn")


class Counting:
    name = "counting"
    precision = "float32"

    def __init__(self) -> None:
        self.count = 0

    def probabilities(self, batch: list[np.ndarray]) -> np.ndarray:
        self.count += 1
        return np.ones((len(batch), 1), np.float32)


def test_engines_take_equal_turns_and_one_to_warm_up(monkeypatch) -> None:
    engines = [Counting(), Counting()]
    assert len(time_in_turns(engines, PIXELS[0])) == 2
    assert {engine.count for engine in engines} == {1 + TURNS}
    monkeypatch.setattr("training.export.engine_speed.BUDGET_S", 0.0)
    slow = [Counting()]
    time_in_turns(slow, PIXELS[0])
    assert slow[0].count == 1 + TURNS_MIN
