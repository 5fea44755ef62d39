"""Which archives get a file for MNN, and that a failed conversion is one sentence."""

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
from training.export.engine_speed import ROUNDS, ROUNDS_MIN, time_interleaved
from training.export.mnn import add_mnn, convert
from training.export.onnx import export_onnx

SIZE_PX = 12
SPEC = PreprocessingSpec(image_size_px=SIZE_PX)
PIXELS = list(np.random.default_rng(0).integers(0, 256, (3, SIZE_PX, SIZE_PX, 3), np.uint8))


def small_network(*, seed: int) -> Network:
    torch.manual_seed(seed)
    layers = (torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    layers_and_head = torch.nn.Sequential(*layers, torch.nn.Linear(8, 4))
    return Network(layers_and_head, preprocessing=SPEC).eval()


def probabilities_of(network: Network) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(np.stack(PIXELS))).numpy()


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return probabilities_of(small_network(seed=0))


@pytest.fixture(scope="module")
def onnx_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    export_onnx(small_network(seed=0), path, SPEC)
    return path


def add(expected: np.ndarray, onnx_path: Path, target: Path, cpu_engine: str) -> str:
    return add_mnn(onnx_path, target, pixels=PIXELS, expected=expected, cpu_engine=cpu_engine)


@pytest.mark.parametrize(
    ("cpu_engine", "times_ms", "is_kept"),
    [
        ("auto", (40.0, 26.0), True),
        ("auto", (40.0, 39.0), False),
        ("auto", (40.0, 60.0), False),
        ("mnn", (40.0, 60.0), True),
        ("onnx", (40.0, 26.0), False),
    ],
)
def test_the_file_is_packed_if_requested_or_faster(
    expected, onnx_path, tmp_path, monkeypatch, cpu_engine, times_ms, is_kept
) -> None:
    monkeypatch.setattr(mnn, "time_interleaved", lambda engines, pixels: list(times_ms))
    target = tmp_path / "model.mnn"
    message = add(expected, onnx_path, target, cpu_engine)
    assert target.exists() is is_kept
    assert message.startswith(f"CPU engine: {'MNN' if is_kept else 'ONNX Runtime'}")
    times = f"ONNX Runtime {times_ms[0]} ms and MNN {times_ms[1]} ms"
    assert cpu_engine == "onnx" or times in message
    assert list(tmp_path.iterdir()) == ([target] if is_kept else [])


def test_the_file_computes_what_the_network_does(expected, onnx_path, tmp_path) -> None:
    add(expected, onnx_path, tmp_path / "model.mnn", "mnn")
    rows = MnnEngine(tmp_path / "model.mnn", thread_count=1).probabilities(PIXELS)
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_the_library_prints_nothing(expected, onnx_path, tmp_path) -> None:
    script = (
        "import sys, pickle; from pathlib import Path; from training.export.mnn import add_mnn; "
        "onnx, target, pixels, expected = pickle.load(open(sys.argv[1], 'rb')); print('before'); "
        "add_mnn(onnx, target, pixels=pixels, expected=expected, cpu_engine='mnn'); print('after')"
    )
    arguments = (onnx_path, tmp_path / "model.mnn", PIXELS, expected)
    (tmp_path / "arguments").write_bytes(pickle.dumps(arguments))
    finished = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "arguments"], capture_output=True, text=True
    )
    assert finished.stdout.splitlines() == ["before", "after"], finished.stderr


def test_a_file_with_other_probabilities_is_never_packed(onnx_path, tmp_path) -> None:
    other = probabilities_of(small_network(seed=1))
    target = tmp_path / "model.mnn"
    assert "differs from" in add(other, onnx_path, target, "auto")
    assert not target.exists()
    with pytest.raises(ExportError, match="differs from the trained one by .* in MNN"):
        add(other, onnx_path, target, "mnn")
    assert not target.exists()


def test_a_failed_conversion_is_one_sentence(expected, tmp_path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not an ONNX file")
    target = tmp_path / "model.mnn"
    with pytest.raises(ExportError, match=r"^MNN cannot convert the network: [^\n]+\.$"):
        convert(broken, target)
    assert "ONNX Runtime, because MNN cannot convert" in add(expected, broken, target, "auto")


def test_a_converted_file_that_cannot_be_computed_is_one_sentence(
    expected, onnx_path, tmp_path, monkeypatch
) -> None:
    target = tmp_path / "model.mnn"
    monkeypatch.setattr(mnn, "convert", lambda source, made: made.write_bytes(b"broken"))
    assert "ONNX Runtime, because MNN cannot compute" in add(expected, onnx_path, target, "auto")
    with pytest.raises(ExportError, match=r"^MNN cannot compute the network: [^\n]+\.$"):
        add(expected, onnx_path, target, "mnn")
    assert not target.exists()


def test_converting_reports_nothing_over_the_network(onnx_path, tmp_path, monkeypatch) -> None:
    """The converter's own command line reports its use to its makers, and installs a package to do so."""
    check = "; assert not [n for n in sys.modules if n.startswith(('MNN', 'aliyun'))], 'reporting'"
    monkeypatch.setattr(mnn, "CONVERTER", mnn.CONVERTER + check)
    convert(onnx_path, tmp_path / "model.mnn")


class CountingEngine:
    name = "counting"
    precision = "float32"

    def __init__(self) -> None:
        self.count = 0

    def probabilities(self, batch: list[np.ndarray]) -> np.ndarray:
        self.count += 1
        return np.ones((len(batch), 1), np.float32)


def test_engines_are_timed_in_equally_many_rounds_after_a_warm_up(monkeypatch) -> None:
    engines = [CountingEngine(), CountingEngine()]
    assert len(time_interleaved(engines, PIXELS[0])) == 2
    assert {engine.count for engine in engines} == {1 + ROUNDS}
    monkeypatch.setattr("training.export.engine_speed.BUDGET_S", 0.0)
    slow = [CountingEngine()]
    time_interleaved(slow, PIXELS[0])
    assert slow[0].count == 1 + ROUNDS_MIN
