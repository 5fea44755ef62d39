"""The network as an ONNX file, and the proof that the file computes what the network does."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from handlers.contract import ONNX_INPUT, ONNX_OUTPUT
from handlers.engines.cpu_engines import Engine
from handlers.engines.network import Network
from handlers.images.preprocessing import PreprocessingSpec
from training.errors import ExportError

# Largest difference between what an engine makes of the file and the network it was made of.
TOLERANCE = 1e-4


def export_onnx(network: Network, path: Path, spec: PreprocessingSpec) -> None:
    """Write the whole network: `pixels` `(B, S, S, 3) uint8` to `probabilities` `(B, K)`, any B."""
    # Two photos, because with one the exporter takes the batch size for a constant.
    example = torch.zeros(2, spec.image_size_px, spec.image_size_px, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # The exporter warns of its own deprecated calls; nothing here can change them.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=[ONNX_INPUT],
            output_names=[ONNX_OUTPUT],
            dynamic_shapes={"pixels": {0: torch.export.Dim.DYNAMIC}},
        )


def check_engine(
    engine: Engine[np.ndarray], pixels: Sequence[np.ndarray], expected: np.ndarray
) -> None:
    """Return if the engine answers `(B, K)` as the network does, one photo at a time and all together.

    Raises:
        ExportError: it does not.
    """
    for count in (1, len(pixels)):
        rows = engine.probabilities(pixels[:count])
        difference = float(np.abs(rows - expected[:count]).max())
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the exported network differs by {difference:.2g} in {engine.name} from the trained one; "
                f"at most {TOLERANCE} is allowed. Another version of that library may help "
                "(constraints.txt names tested ones)."
            )
