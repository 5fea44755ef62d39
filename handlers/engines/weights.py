"""Reads safetensors without the safetensors library, which a plain TorchServe installation does not have."""

import hashlib
import json
import mmap
from pathlib import Path
from typing import Any

import torch

from handlers.errors import WeightsError

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_weights(path: Path, *, sha256: str = "") -> dict[str, torch.Tensor]:
    """Return the tensors by name, on the CPU, in their stored dtype.

    Raises:
        WeightsError: there is no such file, it is not a safetensors file, or its sha256 is not the one given.
    """
    try:
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{path.name} cannot be read: {error}. Export the archive again."
        ) from None
    actual = hashlib.sha256(content).hexdigest() if sha256 else ""
    if actual != sha256:
        raise WeightsError(
            f"{path.name} has the sha256 {actual}, but the model card says {sha256}. "
            "Export the archive again."
        )
    try:
        return _parse(content)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, RecursionError) as error:
        raise WeightsError(f"{path.name} is not a safetensors file: {error!r:.200}.") from None


def _parse(content: mmap.mmap) -> dict[str, torch.Tensor]:
    # First 8 bytes with the length of the header; then the header, JSON with dtype, shape and offsets of each tensor;
    # then the data.
    header_bytes = int.from_bytes(content[:8], "little")
    data_start = 8 + header_bytes
    if data_start > len(content):
        raise ValueError(f"the header of {header_bytes} bytes is longer than the file")
    header: dict[str, Any] = json.loads(content[8:data_start])
    header.pop("__metadata__", None)
    data = torch.frombuffer(content, dtype=torch.uint8)
    return {name: _tensor(data, data_start, entry) for name, entry in header.items()}


def _tensor(data: torch.Tensor, data_start: int, entry: dict[str, Any]) -> torch.Tensor:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end <= len(data) - data_start:
        raise ValueError(f"a tensor at {begin}..{end} lies outside the file")
    # A copy, because the file's alignment may not be the dtype's, and the archive may be deleted while it is served.
    piece = data[data_start + begin : data_start + end].clone()
    return piece.view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
