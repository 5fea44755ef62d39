"""The engines that compute probabilities from pixels on a CPU, MNN's excepted: ONNX Runtime and PyTorch.

model.onnx holds the whole `Network`: input `pixels` `(B, S, S, 3) uint8`, output `probabilities` `(B, K) float32`,
any B. So does model.mnn, whose engine is in mnn_engine.py; the GPU's is in cuda_engine.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch

from handlers.contract import ONNX_INPUT, ONNX_OUTPUT
from handlers.engines.network import load_network
from handlers.extracted import ExtractedArchive
from handlers.model_card import ArchivePrecision

# Images in one forward pass. ONNX Runtime never returns the memory its largest pass needed: after 32 images of
# ResNet-18 a worker stays at 933 MB, after 4 at 644, and a larger pass saves a core no time.
_LARGEST_PASS = 4

Pixels = TypeVar("Pixels", contravariant=True)


class Engine(Protocol[Pixels]):
    @property
    def name(self) -> str:
        """Its name in the log and in DescribeModel."""

    @property
    def precision(self) -> ArchivePrecision:
        """float32 if it computes with weights.safetensors, else that of model.onnx."""

    def probabilities(self, batch: Sequence[Pixels]) -> np.ndarray:
        """Return `(B, K) float32` for B images of `(S, S, 3) uint8`."""


class OnnxEngine:
    name = "ONNX Runtime"

    def __init__(
        self, path: Path, *, thread_count: int, precision: ArchivePrecision = "float32"
    ) -> None:
        import onnxruntime

        self.precision = precision
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count
        options.inter_op_num_threads = 1
        # A thread that spins while it waits takes the core from the neighbouring worker.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # 3: errors only; remarks of the optimizer would only fill the server's log.
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return `(B, K) float32` for B images of `(S, S, 3) uint8`."""
        starts = range(0, len(batch), _LARGEST_PASS)
        return np.concatenate([self._run(batch[start : start + _LARGEST_PASS]) for start in starts])

    def _run(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        rows: np.ndarray = self._session.run([ONNX_OUTPUT], {ONNX_INPUT: np.stack(batch)})[0]
        return rows


class EagerEngine:
    name = "PyTorch"
    precision: ArchivePrecision = "float32"

    def __init__(self, archive: ExtractedArchive, *, thread_count: int) -> None:
        torch.set_num_threads(thread_count)
        self._network = load_network(archive)

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return `(B, K) float32` for B images of `(S, S, 3) uint8`."""
        with torch.inference_mode():
            rows: np.ndarray = self._network(torch.from_numpy(np.stack(batch))).numpy()
        return rows
