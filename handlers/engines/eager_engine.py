"""weights.safetensors on a CPU, by PyTorch: the slowest engine, for an archive or a host that has no other."""

from collections.abc import Sequence

import numpy as np
import torch

from handlers.engines.engine import Outputs
from handlers.engines.network import load_network
from handlers.extracted import ExtractedArchive
from handlers.model_card import ArchivePrecision


class EagerEngine:
    name = "PyTorch"
    precision: ArchivePrecision = "float32"

    def __init__(self, archive: ExtractedArchive, *, thread_count: int) -> None:
        torch.set_num_threads(thread_count)
        self._network = load_network(archive)

    def probabilities(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return `(B, K) float32` for B images of `(S, S, 3) uint8`."""
        return self.outputs(batch).probabilities

    def outputs(self, batch: Sequence[np.ndarray]) -> Outputs:
        """Return the probabilities, and the features of the same pass."""
        with torch.inference_mode():
            rows = self._network.outputs(torch.from_numpy(np.stack(batch)))
        return Outputs(*(row.numpy() for row in rows))
