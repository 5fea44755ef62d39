"""Reads safetensors without the safetensors library, which a plain TorchServe installation does not have."""

import hashlib
import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from handlers.errors import WeightsError

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def read_weights(path: Path, *, sha256: str = "") -> dict[str, np.ndarray]:
    """Return the tensors by name, in their stored dtype; NumPy has no bfloat16, and an archive holds none.

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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path.name} is not a safetensors file: {error!r:.200}.") from None


def _parse(content: mmap.mmap) -> dict[str, np.ndarray]:
    # First 8 bytes with the length of the header; then the header, JSON with dtype, shape and offsets of each tensor;
    # then the data.
    header_bytes = int.from_bytes(content[:8], "little")
    data_start = 8 + header_bytes
    if data_start > len(content):
        raise ValueError(f"the header of {header_bytes} bytes is longer than the file")
    header: dict[str, Any] = json.loads(content[8:data_start])
    header.pop("__metadata__", None)
    data = np.frombuffer(content, np.uint8)
    return {name: _tensor(data, data_start, entry) for name, entry in header.items()}


def _tensor(data: np.ndarray, data_start: int, entry: dict[str, Any]) -> np.ndarray:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end <= len(data) - data_start:
        raise ValueError(f"a tensor at {begin}..{end} lies outside the file")
    # A copy, because the file's alignment may not be the dtype's, and the archive may be deleted while it is served.
    piece = data[data_start + begin : data_start + end].copy()
    return piece.view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
