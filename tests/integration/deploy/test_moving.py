"""The Triton configuration in docs/limits.md matches the exported graph."""

import re
from pathlib import Path

import onnx

from handlers.engines.network import build_network
from handlers.images.preprocessing import PreprocessingSpec
from training.export.onnx import export_onnx

LIMITS = Path(__file__).parents[3] / "docs" / "limits.md"
TRITON_TYPES = {onnx.TensorProto.UINT8: "TYPE_UINT8", onnx.TensorProto.FLOAT: "TYPE_FP32"}
TENSOR = re.compile(r'\{ name: "(\w+)" data_type: (\w+) dims: \[([\d, ]+)\] \}')


def described(value: onnx.ValueInfoProto) -> tuple[str, str, list[int]]:
    """Return name, type and dimensions as Triton counts them: without the first, the batch, which must be open."""
    tensor = value.type.tensor_type
    batch, *rest = tensor.shape.dim
    assert batch.dim_param
    return value.name, TRITON_TYPES[tensor.elem_type], [each.dim_value for each in rest]


def documented(way: str) -> list[tuple[str, str, list[int]]]:
    """Return name, type and dimensions of the documented inputs or outputs."""
    line = next(line for line in LIMITS.read_text().splitlines() if line.startswith(f"{way} ["))
    return [
        (name, kind, [int(each) for each in dims.split(",")])
        for name, kind, dims in TENSOR.findall(line)
    ]


def test_tritons_configuration_fits_the_exported_graph(tmp_path: Path) -> None:
    spec = PreprocessingSpec(
        image_size_px=224, resize_ratio=256 / 224, interpolation="bilinear",
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip
    network = build_network(
        architecture="resnet18", class_count=5, preprocessing=spec, temperature=1.0
    )
    export_onnx(network, tmp_path / "model.onnx", spec)
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert documented("input") == [described(value) for value in graph.input]
    assert documented("output") == [described(value) for value in graph.output]
