"""Memory of a worker, and a GPU whose memory is full."""

import logging
import time
from dataclasses import replace

import numpy as np
import torch

from benchmarks.gpu.context import Context
from benchmarks.gpu.records import Aim, Records
from benchmarks.gpu.step import run_step
from handlers.engines import cuda_engine
from handlers.engines.cuda_engine import CudaEngine

STEP = "memory"


def measure(context: Context, records: Records) -> None:
    """Record the memory of each network, then fill the GPU's memory."""
    for architecture in context.sizes.architectures:
        record_memory(architecture, context, records)
    fill_memory(context, records)


def record_memory(architecture: str, context: Context, records: Records) -> None:
    """Record what loading the network takes of the GPU's memory: its context, weights and graphs."""
    began = time.perf_counter()
    engine = CudaEngine(
        context.extracted(architecture),
        device=context.torch_device,
        largest_batch=context.sizes.largest_batch,
    )
    records.figure(STEP, f"{architecture}: seconds to load", time.perf_counter() - began, "s")
    if context.device == "cuda":
        free, total = torch.cuda.mem_get_info()
        reserved = torch.cuda.memory_reserved()
        records.figure(
            STEP, f"{architecture}: GPU memory in use, all processes", (total - free) / 1e6, "MB"
        )
        records.figure(STEP, f"{architecture}: of it weights and graphs", reserved / 1e6, "MB")
    del engine
    if context.device == "cuda":
        torch.cuda.empty_cache()


class _Warnings(logging.Handler):
    """Collects what the engine warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def fill_memory(context: Context, records: Records) -> None:
    """Compute a batch that does not fit: it must be halved until it does, and answered as small batches are."""
    sizes = context.sizes
    architecture = "resnet50" if "resnet50" in sizes.architectures else sizes.architectures[0]
    archive = context.extracted(architecture)
    spec = replace(archive.card.preprocessing, image_size_px=sizes.full_memory_image_px)
    archive = replace(archive, card=replace(archive.card, preprocessing=spec))
    warnings = _Warnings()
    cuda_engine.logger.addHandler(warnings)
    began = time.perf_counter()
    engine = CudaEngine(archive, device=context.torch_device, largest_batch=sizes.full_memory_batch)
    records.figure(STEP, "loads with graphs that do not fit", time.perf_counter() - began, "s")
    if context.is_dry_run:
        _limit_to(engine, sizes.full_memory_batch // 4)
    side = sizes.full_memory_image_px
    generator = torch.Generator().manual_seed(0)
    few = torch.randint(256, (8, side, side, 3), dtype=torch.uint8, generator=generator)
    few = few.to(context.torch_device)
    expected = engine.probabilities(list(few))
    began = time.perf_counter()
    rows = engine.probabilities([few[index % 8] for index in range(sizes.full_memory_batch)])
    records.figure(
        STEP,
        f"answers {sizes.full_memory_batch} images of {side} px",
        time.perf_counter() - began,
        "s",
    )
    halvings = sum("retrying in two halves" in message for message in warnings.messages)
    records.figure(STEP, "times it halved a batch", halvings, "", Aim(at_least=1))
    difference = float(np.abs(rows.reshape(-1, 8, rows.shape[1]) - expected).max())
    records.figure(STEP, "largest difference from small batches", difference, "", Aim(at_most=0.01))
    again = float(np.abs(engine.probabilities(list(few)) - expected).max())
    records.figure(
        STEP, "a small batch afterwards, largest difference", again, "", Aim(at_most=0.01)
    )
    cuda_engine.logger.removeHandler(warnings)
    del engine, few
    if context.device == "cuda":
        torch.cuda.empty_cache()


def _limit_to(engine: CudaEngine, images: int) -> None:
    """Have the engine raise what a full GPU raises, beyond so many images."""
    compute = engine._compute

    def compute_or_raise(pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > images:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(pixels)

    engine._compute = compute_or_raise  # type: ignore[method-assign]


if __name__ == "__main__":
    run_step(measure)
