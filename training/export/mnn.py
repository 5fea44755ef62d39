"""The network as a file for MNN, packed if that engine is faster than ONNX Runtime."""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from handlers.engines.mnn_engine import MnnEngine
from handlers.engines.onnx_engine import OnnxEngine
from training.errors import ExportError
from training.export.engine_speed import time_interleaved
from training.export.onnx import check_engine

CpuEngine = Literal["auto", "onnx", "mnn"]
# A smaller gain does not justify a file that makes the archive half as large again.
SPEEDUP_MIN = 1.05
# The converter's own command line, `mnnconvert`, reports its use over the network; this is the function it calls. It
# runs in a process of its own because it prints to standard output, and may crash on a network it cannot convert.
CONVERTER = "import sys, _tools; _tools.mnnconvert(['mnnconvert', *sys.argv[1:]])"


def add_mnn(
    onnx_path: Path,
    mnn_path: Path,
    *,
    pixels: Sequence[np.ndarray],
    expected: np.ndarray,
    cpu_engine: CpuEngine,
) -> str:
    """Convert the ONNX file for MNN if `cpu_engine` says so, or if MNN is faster here; return the reason as a sentence.

    `expected` are the network's own probabilities for the pixels, `(B, K) float32`.

    Raises:
        ExportError: `cpu_engine` is mnn and MNN cannot compute the network.
    """
    if cpu_engine == "onnx":
        return "CPU engine: ONNX Runtime, as requested."
    try:
        mnn = make_mnn_engine(onnx_path, mnn_path, pixels=pixels, expected=expected)
    except ExportError as error:
        if cpu_engine == "mnn":
            raise
        return f"CPU engine: ONNX Runtime, because {error}"
    onnx_ms, mnn_ms = time_interleaved((OnnxEngine(onnx_path, thread_count=1), mnn), pixels[0])
    times = (
        f"one photo takes ONNX Runtime {onnx_ms:.1f} ms and MNN {mnn_ms:.1f} ms on this machine."
    )
    if cpu_engine == "mnn" or onnx_ms >= SPEEDUP_MIN * mnn_ms:
        return f"CPU engine: MNN; {times}"
    mnn_path.unlink()
    return f"CPU engine: ONNX Runtime; {times}"


def make_mnn_engine(
    onnx_path: Path, mnn_path: Path, *, pixels: Sequence[np.ndarray], expected: np.ndarray
) -> MnnEngine:
    """Write the MNN file and return an engine for it whose probabilities are checked against `expected`.

    Raises:
        ExportError: MNN cannot convert or compute the network, or the probabilities differ; no file is left.
    """
    try:
        convert(onnx_path, mnn_path)
        with _quiet_library():
            engine = MnnEngine(mnn_path, thread_count=1)
            check_engine(engine, pixels, expected)
    except Exception as error:
        mnn_path.unlink(missing_ok=True)
        if isinstance(error, ExportError):
            raise
        # MNN raises exceptions of any class for a network that it converts but cannot compute.
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"MNN cannot compute the network: {reason}.") from None
    return engine


def convert(onnx_path: Path, mnn_path: Path) -> None:
    """Convert the ONNX file to MNN's format.

    Raises:
        ExportError: MNN cannot convert it.
    """
    command = [
        sys.executable, "-c", CONVERTER, "-f", "ONNX", "--modelFile", str(onnx_path),
        "--MNNModel", str(mnn_path), "--bizCode", "headswap",
    ]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if finished.returncode != 0 or not mnn_path.is_file():
        output = finished.stderr.strip() or finished.stdout.strip() or "it printed nothing"
        raise ExportError(f"MNN cannot convert the network: {output.splitlines()[-1]:.300}.")


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Discard what C code prints inside the block: MNN prints which instructions the processor lacks."""
    standard_output = 1
    c_library = ctypes.CDLL(None)
    # Flush both buffers first, so that earlier output still appears; C's is flushed again before the redirect ends.
    sys.stdout.flush()
    c_library.fflush(None)
    saved = os.dup(standard_output)
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), standard_output)
            yield
    finally:
        c_library.fflush(None)
        os.dup2(saved, standard_output)
        os.close(saved)
