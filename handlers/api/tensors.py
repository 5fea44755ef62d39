"""The output tensors of the Open Inference Protocol v2, as JSON or by its binary tensor data extension."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Datatype = Literal["BYTES", "INT64", "FP32"]

# A model's inputs and outputs as its metadata has them; -1 is any number of images or classes.
TENSORS: dict[str, Any] = {
    "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [
        {"name": "label", "datatype": "BYTES", "shape": [-1, -1]},
        {"name": "index", "datatype": "INT64", "shape": [-1, -1]},
        {"name": "probability", "datatype": "FP32", "shape": [-1, -1]},
        {"name": "error", "datatype": "BYTES", "shape": [-1]},
        {"name": "outcome", "datatype": "BYTES", "shape": [-1]},
        {"name": "unknown_score", "datatype": "FP32", "shape": [-1]},
    ],
}

_FORMAT_OF: dict[str, str] = {"INT64": "q", "FP32": "f"}


def metadata_tensors(*, has_outcome: bool, has_unknown_score: bool) -> dict[str, Any]:
    """Return the inputs and outputs of a model, those of the outcome only where its answers have them."""
    missing = {"outcome": not has_outcome, "unknown_score": not has_unknown_score}
    outputs = [output for output in TENSORS["outputs"] if not missing.get(output["name"])]
    return TENSORS | {"outputs": outputs}


@dataclass(frozen=True)
class Tensor:
    name: str
    datatype: Datatype
    shape: list[int]
    data: Sequence[Any]
    """In row-major order."""

    def to_bytes(self) -> bytes:
        """Return the elements, little-endian; each of BYTES is preceded by its length."""
        if self.datatype == "BYTES":
            texts = [text.encode("utf-8", errors="replace") for text in self.data]
            return b"".join(struct.pack("<I", len(text)) + text for text in texts)
        return struct.pack(f"<{len(self.data)}{_FORMAT_OF[self.datatype]}", *self.data)


def write_tensors(
    tensors: Sequence[Tensor], is_binary: Mapping[str, bool]
) -> tuple[list[dict[str, Any]], bytes]:
    """Return the outputs of the response, those that `is_binary` names and in its order, and their binary data.

    The outcome is left out where the model has none.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    outputs: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for name, wants_binary in is_binary.items():
        if name not in by_name:
            continue
        tensor = by_name[name]
        output: dict[str, Any] = {"name": name, "datatype": tensor.datatype, "shape": tensor.shape}
        if wants_binary:
            blobs.append(tensor.to_bytes())
            outputs.append(output | {"parameters": {"binary_data_size": len(blobs[-1])}})
        else:
            outputs.append(output | {"data": tensor.data})
    return outputs, b"".join(blobs)
