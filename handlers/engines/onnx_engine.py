"""model.onnx on a CPU, by ONNX Runtime.

It holds the whole `Network`: input `pixels` `(B, S, S, 3) uint8`, outputs `probabilities` `(B, K) float32` and
`features` `(B, D) float32`, any B. Files of earlier versions have no `features`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handlers.contract import FEATURES_OUTPUT, ONNX_INPUT, ONNX_OUTPUT
from handlers.engines.engine import Outputs
from handlers.model_card import ArchivePrecision

# Images in one forward pass. ONNX Runtime never returns the memory its largest pass needed: after 32 images of
# ResNet-18 a worker stays at 933 MB, after 4 at 644, and a larger pass saves a core no time.
_LARGEST_PASS = 4


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
        names = [output.name for output in self._session.get_outputs()]
        self._has_features = FEATURES_OUTPUT in names

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return `(B, K) float32` for B images of `(S, S, 3) uint8`."""
        return self.outputs(batch).probabilities

    def outputs(self, batch: Sequence[np.ndarray]) -> Outputs:
        """Return the probabilities, and the features of the same pass."""
        names = [ONNX_OUTPUT, FEATURES_OUTPUT] if self._has_features else [ONNX_OUTPUT]
        starts = range(0, len(batch), _LARGEST_PASS)
        passes = [
            self._session.run(names, {ONNX_INPUT: np.stack(batch[start : start + _LARGEST_PASS])})
            for start in starts
        ]
        columns = [np.concatenate(parts) for parts in zip(*passes, strict=True)]
        return Outputs(columns[0], columns[1] if self._has_features else None)
