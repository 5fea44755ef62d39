"""model.mnn on a CPU: MNN computes 3x3 convolutions by Winograd's algorithm (Lavin and Gray, 2016).

ResNet-18 takes two thirds of the time it takes ONNX Runtime; a network without such convolutions takes longer.
Nothing under `MNN.tools` may be imported, here or anywhere: it installs a package and reports its use over the network.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handlers.contract import FEATURES_OUTPUT, ONNX_INPUT, ONNX_OUTPUT
from handlers.engines.engine import Outputs
from handlers.model_card import ArchivePrecision

# MNN's name for the hint is WINOGRAD_MEMORY_LEVEL; its Python module has only the number.
_TILES_HINT = 3
# Small tiles only. On 93 photos the probabilities of ResNet-18 were off by at most 1e-6, as those of ONNX Runtime are;
# with MNN's default, larger tiles, by 7e-5, in a tenth less time.
_SMALL_TILES = 1


class MnnEngine:
    name = "MNN"
    precision: ArchivePrecision = "float32"

    def __init__(self, path: Path, *, thread_count: int, has_features: bool = True) -> None:
        """Load the file; `has_features` is whether it returns features, as those of earlier versions do not."""
        import MNN

        runtime = MNN.nn.create_runtime_manager(
            # high: float32 throughout.
            ({"backend": "CPU", "precision": "high", "numThread": thread_count},)
        )
        runtime.set_hint(_TILES_HINT, _SMALL_TILES)
        self._network = MNN.nn.load_module_from_file(
            str(path),
            [ONNX_INPUT],
            [ONNX_OUTPUT, FEATURES_OUTPUT] if has_features else [ONNX_OUTPUT],
            runtime_manager=runtime,
        )
        self._expressions = MNN.expr

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return `(B, K) float32` for B images of `(S, S, 3) uint8`."""
        return self.outputs(batch).probabilities

    def outputs(self, batch: Sequence[np.ndarray]) -> Outputs:
        """Return the probabilities, and the features of the same pass."""
        # One by one: in a batch MNN sums in another order, and the seventh digit would depend on its other photos. It
        # costs ResNet-18 7 %.
        passes = [self._run(pixels) for pixels in batch]
        columns = [np.concatenate(rows) for rows in zip(*passes, strict=True)]
        return Outputs(columns[0], columns[1] if len(columns) > 1 else None)

    def _run(self, pixels: np.ndarray) -> list[np.ndarray]:
        # NCHW says how a tensor of four axes lies in memory, row by row; these are (1, S, S, 3).
        image = self._expressions.const(
            np.ascontiguousarray(pixels),
            [1, *pixels.shape],
            self._expressions.NCHW,
            self._expressions.uint8,
        )
        # After a failure there is no row, so reading the batch raises; MNN prints the reason to standard output.
        return [np.array(row.read()) for row in self._network.forward([image])]
