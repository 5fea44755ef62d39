"""The engine on an NVIDIA GPU: half precision by default, channels last, one CUDA graph per batch size.

The device may also be a CPU: then it computes the same in float32 and without graphs, which is how its logic is tested
on machines without a GPU.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from handlers.engines.engine import Outputs
from handlers.engines.network import Network, load_network
from handlers.extracted import ExtractedArchive
from handlers.model_card import ArchivePrecision
from handlers.settings import Precision

logger = logging.getLogger(__name__)

Runner = Callable[[torch.Tensor], torch.Tensor]

# CUDA's messages, in lower case, after which a process can never compute again; only a new worker can: the errors for
# which CUDA's documentation says that the process must be terminated and launched again.
_STICKY_ERRORS = (
    "illegal memory access",
    "device-side assert",
    "unspecified launch failure",
    "misaligned address",
    "illegal instruction",
    "invalid program counter",
    "hardware stack error",
    "operation not supported on global/shared address space",
    "launch timed out and was terminated",
    "uncorrectable ecc error",
    "uncorrectable nvlink error",
)

# Runs before a graph is captured, in which cuDNN chooses its algorithms; PyTorch's documentation uses 3.
_WARM_UP_RUNS = 3


class CudaEngine:
    # Of its weights: computed in half precision, the probabilities stay within the float32 probes' tolerance.
    precision: ArchivePrecision = "float32"

    def __init__(
        self,
        archive: ExtractedArchive,
        *,
        device: torch.device,
        largest_batch: int,
        precision: Precision = "auto",
    ) -> None:
        self._device = device
        if device.type == "cuda":
            # Streams and graphs are those of the current device, which is the host's first GPU otherwise.
            torch.cuda.set_device(device)
        self._network = place_network(load_network(archive), device, precision)
        self._side_px = archive.card.preprocessing.image_size_px
        self._class_count = archive.card.class_count
        self._has_features = archive.has_unknown_score
        self._buckets = list_buckets(largest_batch)
        self._runners = self._make_runners()
        self.name = f"PyTorch on {device}, {str(next(self._network.parameters()).dtype)[6:]}"

    def probabilities(self, batch: Sequence[torch.Tensor]) -> np.ndarray:
        """Return `(B, K) float32` for B images of `(S, S, 3) uint8` on the device."""
        return self.outputs(batch).probabilities

    def outputs(self, batch: Sequence[torch.Tensor]) -> Outputs:
        """Return the probabilities, and the features of the same pass, if the archive has a use for them."""
        try:
            rows = self._compute_whole_or_halved(torch.stack(list(batch))).numpy()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            exit_if_sticky(error)
            raise
        if not self._has_features:
            return Outputs(rows, None)
        return Outputs(rows[:, : self._class_count], rows[:, self._class_count :])

    def _compute_whole_or_halved(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the probabilities on the CPU; where the GPU runs out of memory, those of halves, down to one image."""
        try:
            return self._compute(pixels).float().cpu()
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise
        # Not inside the except clause: its exception keeps all tensors of the failed pass alive.
        logger.warning(
            "The GPU ran out of memory at %d images; retrying in two halves.", len(pixels)
        )
        torch.cuda.empty_cache()
        halves = pixels.chunk(2)
        return torch.cat([self._compute_whole_or_halved(half) for half in halves])

    def _compute(self, pixels: torch.Tensor) -> torch.Tensor:
        size = next((bucket for bucket in self._buckets if bucket >= len(pixels)), None)
        if size is None:
            return self._network_rows(pixels)
        missing = size - len(pixels)
        padded = torch.cat([pixels, pixels[-1:].expand(missing, -1, -1, -1)]) if missing else pixels
        return self._runners[size](padded)[: len(pixels)]

    def _network_rows(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            if self._has_features:
                # One tensor, so that it is one output of a graph.
                return torch.cat(self._network.outputs(pixels), dim=1)
            rows: torch.Tensor = self._network(pixels)
        return rows

    def _make_runners(self) -> dict[int, Runner]:
        if self._device.type != "cuda":
            return dict.fromkeys(self._buckets, self._network_rows)
        # One memory pool for all graphs, the largest first, so that the others fit into what it has taken: each replay
        # computes everything anew, and no two run at once.
        runners: dict[int, Runner] = {}
        pool = torch.cuda.graph_pool_handle()
        for size in reversed(self._buckets):
            runner = self._try_to_capture(size, pool)
            if runner is None:
                # A pool that a capture failed in may not be used again.
                pool = torch.cuda.graph_pool_handle()
            runners[size] = runner or self._network_rows
        return runners

    def _try_to_capture(self, size: int, pool: Any) -> Runner | None:
        try:
            return self._capture(size, pool)
        except RuntimeError as error:
            exit_if_sticky(error)
            reason = str(error)[:300]
        # Not inside the except clause: its exception keeps all tensors of the failed pass alive.
        logger.warning("No CUDA graph for %d images, slower: %s", size, reason)
        torch.cuda.empty_cache()
        return None

    def _capture(self, size: int, pool: Any) -> Runner:
        shape = (size, self._side_px, self._side_px, 3)
        pixels = torch.zeros(shape, dtype=torch.uint8, device=self._device)
        side_stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(_WARM_UP_RUNS):
                self._network_rows(pixels)
        torch.cuda.current_stream().wait_stream(side_stream)
        # What the warm-up leaves in the side stream's cache is as large as the graph, and nothing else can use it.
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            rows = self._network_rows(pixels)

        def replay(batch: torch.Tensor) -> torch.Tensor:
            pixels.copy_(batch)
            graph.replay()
            # The graph's own output is overwritten by its next replay.
            return rows.clone()

        return replay


def place_network(network: Network, device: torch.device, precision: Precision = "auto") -> Network:
    """Return the network on the device; on a GPU in the given precision and channels last."""
    if device.type != "cuda":
        return network.to(device)
    network = network.to(device=device, dtype=choose_dtype(precision))
    network.backbone_and_head.to(memory_format=torch.channels_last)
    return network


def choose_dtype(precision: Precision) -> torch.dtype:
    """Return the dtype that the network computes in on a GPU."""
    dtype: torch.dtype = getattr(torch, "float16" if precision == "auto" else precision)
    return dtype


def list_buckets(largest_batch: int) -> list[int]:
    """Return the batch sizes that get a CUDA graph: the powers of two below `largest_batch`, and `largest_batch`."""
    powers = [1 << exponent for exponent in range(largest_batch.bit_length())]
    return sorted({min(power, largest_batch) for power in powers} | {largest_batch})


def exit_if_sticky(error: RuntimeError) -> None:
    """End the process if CUDA cannot be used in it any more: TorchServe then starts a new worker.

    Raises:
        SystemExit: the error is one that CUDA does not recover from within a process.
    """
    text = str(error)
    if any(message in text.lower() for message in _STICKY_ERRORS):
        logger.critical("This process cannot use the GPU any more and exits: %s", text[:300])
        raise SystemExit(1) from error
