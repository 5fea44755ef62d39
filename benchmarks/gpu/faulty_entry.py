# Appended to a copy of an archive's entry.py, to see what becomes of a worker whose GPU fails for good. Once the file
# that HEADSWAP_FAULT names exists, the next batch deletes it and makes CUDA fail; on a CPU, the error is CUDA's text.
import importlib
import os
from pathlib import Path
from typing import Any

_classifier: Any = importlib.import_module("handlers.classifier")
_choose_pipeline = _classifier.choose_pipeline


def _fail_where_asked(archive: Any, settings: Any, *, gpu_id: int | None) -> Any:
    import torch

    from handlers.engines.pipelines import make_cuda_pipeline

    marker = Path(os.environ["HEADSWAP_FAULT"])
    # In a dry run the GPU's pipeline on the CPU.
    pipeline: Any = (
        make_cuda_pipeline(archive, settings, device=torch.device("cpu"))
        if gpu_id is None
        else _choose_pipeline(archive, settings, gpu_id=gpu_id)
    )
    compute = pipeline._engine._compute

    def compute_or_fail(pixels: torch.Tensor) -> torch.Tensor:
        if marker.exists():
            marker.unlink()
            if pixels.device.type != "cuda":
                raise RuntimeError("CUDA error: device-side assert triggered")
            # An index beyond the end: the kernel's assertion fails, and the context with it.
            index = torch.full((1,), 10**6, device=pixels.device)
            torch.zeros(1, device=pixels.device)[index].cpu()
        rows: torch.Tensor = compute(pixels)
        return rows

    pipeline._engine._compute = compute_or_fail
    return pipeline


_classifier.choose_pipeline = _fail_where_asked
