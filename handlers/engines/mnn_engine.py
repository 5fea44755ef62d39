"""model.mnn on a CPU: MNN computes 3x3 convolutions by Winograd's algorithm (Lavin and Gray, 2016).

ResNet-18 takes two thirds of ONNX Runtime's time; a network without such convolutions takes more than it.
Nothing under `MNN.tools` may be imported, here or anywhere: it installs a package and reports its use over the network.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handlers.contract import ONNX_INPUT, ONNX_OUTPUT
from handlers.model_card import ArchivePrecision

# MNN's name for the hint is WINOGRAD_MEMORY_LEVEL; its Python module has only the number.
_TILES_HINT = 3
# Small tiles alone. On 93 photos ResNet-18's probabilities were off by 1e-6 at most, as ONNX Runtime's are; with MNN's
# larger tiles, its default, by 7e-5, in a tenth less time.
_SMALL_TILES = 1


class MnnEngine:
    name = "MNN"
    precision: ArchivePrecision = "float32"

    def __init__(self, path: Path, *, thread_count: int) -> None:
        import MNN

        runtime = MNN.nn.create_runtime_manager(
            # high: float32 throughout.
            ({"backend": "CPU", "precision": "high", "numThread": thread_count},)
        )
        runtime.set_hint(_TILES_HINT, _SMALL_TILES)
        self._network = MNN.nn.load_module_from_file(
            str(path), [ONNX_INPUT], [ONNX_OUTPUT], runtime_manager=runtime
        )
        self._expressions = MNN.expr

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        # One by one: in a batch the sums are taken in another order, and a photo's answer would hang on its neighbours
        # in the seventh digit. It costs ResNet-18 7 %.
        return np.concatenate([self._run(pixels) for pixels in batch])

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        # NCHW says how a tensor of four axes lies in memory, row by row; these are (1, S, S, 3).
        photo = self._expressions.const(
            np.ascontiguousarray(pixels),
            [1, *pixels.shape],
            self._expressions.NCHW,
            self._expressions.uint8,
        )
        # No row, and so an exception, where it failed: what went wrong it writes to its standard output.
        (row,) = self._network.forward([photo])
        return np.array(row.read())
