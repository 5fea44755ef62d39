"""The network as an ONNX file, and the check that an engine computes the same as the network."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from handlers.contract import FEATURES_OUTPUT, ONNX_INPUT, ONNX_OUTPUT
from handlers.engines.engine import Engine
from handlers.engines.network import Network
from handlers.images.preprocessing import PreprocessingSpec
from training.errors import ExportError

# Largest allowed difference between a probability of an engine and one of the network itself.
TOLERANCE = 1e-4


class _WithFeatures(nn.Module):
    """The network, with its features as a second output."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network.outputs(pixels)


def export_onnx(network: Network, path: Path, spec: PreprocessingSpec) -> None:
    """Write the whole network, for any B: `pixels` `(B, S, S, 3) uint8` to `probabilities` `(B, K) float32`.

    Its second output are the `features` `(B, D) float32`, the inputs of the last layer.
    """
    # Two photos, because with one the exporter would treat the batch size as a constant.
    example = torch.zeros(2, spec.image_size_px, spec.image_size_px, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # The exporter warns about its own deprecated calls, which cannot be changed here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _WithFeatures(network).eval(),
            (example,),
            str(path),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=[ONNX_INPUT],
            output_names=[ONNX_OUTPUT, FEATURES_OUTPUT],
            dynamic_shapes={"pixels": {0: torch.export.Dim.DYNAMIC}},
        )


def check_engine(
    engine: Engine[np.ndarray], pixels: Sequence[np.ndarray], expected: np.ndarray
) -> None:
    """Check that the engine computes the `expected` probabilities `(B, K) float32`, for one photo and for all at once.

    Raises:
        ExportError: it does not.
    """
    for count in (1, len(pixels)):
        rows = engine.probabilities(pixels[:count])
        difference = float(np.abs(rows - expected[:count]).max())
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the exported network differs from the trained one by {difference:.2g} in {engine.name}; at most "
                f"{TOLERANCE} is allowed. Another version of that library may help (constraints.txt lists tested ones)."
            )
