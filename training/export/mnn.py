"""The network as a file for MNN, where that engine is faster than ONNX Runtime."""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from handlers.engines.cpu_engines import OnnxEngine
from handlers.engines.mnn_engine import MnnEngine
from training.errors import ExportError
from training.export.engine_speed import time_in_turns
from training.export.onnx import check_engine

CpuEngine = Literal["auto", "onnx", "mnn"]
# Less is no reason to make the archive half as large again.
WORTH_IT = 1.05
# The converter's own command line, `mnnconvert`, reports its use over the network; this is what it calls. It writes to
# standard output, and what it cannot convert may end the process.
CONVERTER = "import sys, _tools; _tools.mnnconvert(['mnnconvert', *sys.argv[1:]])"


def add_mnn(
    onnx_path: Path,
    mnn_path: Path,
    *,
    pixels: Sequence[np.ndarray],
    expected: np.ndarray,
    wanted: CpuEngine,
) -> str:
    """Write the MNN file of an ONNX file if it is wanted, or faster here and as exact; return why, in words.

    `expected` is what the network itself answers to the pixels, `(B, K) float32`.

    Raises:
        ExportError: it is wanted and cannot be made.
    """
    if wanted == "onnx":
        return "CPUs serve it with ONNX Runtime, as wanted."
    try:
        mnn = make_mnn_engine(onnx_path, mnn_path, pixels=pixels, expected=expected)
    except ExportError as error:
        if wanted == "mnn":
            raise
        return f"CPUs serve it with ONNX Runtime: {error}"
    ms_onnx, ms_mnn = time_in_turns((OnnxEngine(onnx_path, thread_count=1), mnn), pixels[0])
    told = f"here one photo takes ONNX Runtime {ms_onnx:.1f} ms and MNN {ms_mnn:.1f} ms."
    if wanted == "mnn" or ms_onnx >= WORTH_IT * ms_mnn:
        return f"CPUs serve it with MNN: {told}"
    mnn_path.unlink()
    return f"CPUs serve it with ONNX Runtime: {told}"


def make_mnn_engine(
    onnx_path: Path, mnn_path: Path, *, pixels: Sequence[np.ndarray], expected: np.ndarray
) -> MnnEngine:
    """Write the MNN file and return the engine that serves it, once it has answered the pixels as expected.

    Raises:
        ExportError: MNN cannot convert the network, or answers otherwise; no file is left.
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
        # What it converts and cannot compute it tells in exceptions of any class.
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"MNN cannot compute the network: {reason}.") from None
    return engine


def convert(onnx_path: Path, mnn_path: Path) -> None:
    """Write the ONNX file's network as MNN's.

    Raises:
        ExportError: MNN cannot convert it.
    """
    command = [
        sys.executable, "-c", CONVERTER, "-f", "ONNX", "--modelFile", str(onnx_path),
        "--MNNModel", str(mnn_path), "--bizCode", "headswap",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0 or not mnn_path.is_file():
        told = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise ExportError(f"MNN cannot convert the network: {told:.300}.")


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Send what C code prints inside to nowhere: MNN tells whoever exports what the processor lacks."""
    standard_output = 1
    c_library = ctypes.CDLL(None)
    # What both have written so far is still to be seen, what C writes inside is not, even if it flushes later.
    sys.stdout.flush()
    c_library.fflush(None)
    kept = os.dup(standard_output)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), standard_output)
            yield
    finally:
        c_library.fflush(None)
        os.dup2(kept, standard_output)
        os.close(kept)
