"""Builds the archives and requests of the handlers' tests."""

import io
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from ts.context import Context, RequestProcessor

from handlers.contract import ONNX_INPUT, ONNX_OUTPUT
from handlers.entry import HeadswapHandler
from handlers.images.preprocessing import PreprocessingSpec, load_pixels

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
SIZE_PX = 16
HTTP = {"Host": "localhost", "explain": "False", "url_path": ""}


def encode(image: Image.Image, format_name: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format_name, **options)
    return buffer.getvalue()


def colour_model() -> onnx.ModelProto:
    """Return an ONNX model of a few hundred bytes: pixels -> mean colour -> softmax."""
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32) * 0.05, "weights")
    axes = numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes")
    nodes = [
        helper.make_node("Cast", [ONNX_INPUT], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [ONNX_OUTPUT], axis=1),
    ]
    pixels = helper.make_tensor_value_info(
        ONNX_INPUT, TensorProto.UINT8, ["B", SIZE_PX, SIZE_PX, 3]
    )
    rows = helper.make_tensor_value_info(ONNX_OUTPUT, TensorProto.FLOAT, ["B", 3])
    graph = helper.make_graph(nodes, "colours", [pixels], [rows], [weights, axes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def colour_probabilities(data: bytes, spec: PreprocessingSpec) -> list[float]:
    logits = load_pixels(data, spec).reshape(-1, 3).mean(axis=0) * 0.05
    exponentials = np.exp(logits - logits.max())
    return (exponentials / exponentials.sum()).tolist()


class Worker:
    """The handler in TorchServe's own context, without a server."""

    def __init__(self, folder: Path, model_config: dict | None = None) -> None:
        self.context = Context(
            "colours", str(folder), {}, 8, None, "0.12.0", True, None, model_config
        )
        self.handler = HeadswapHandler()
        self.handler.initialize(self.context)

    def respond(self, items: list[dict], headers: list[dict] | None = None) -> list[tuple]:
        """Return status, headers and body of each item."""
        headers = headers or [HTTP] * len(items)
        self.context.request_processor = [RequestProcessor(dict(header)) for header in headers]
        bodies = self.handler.handle(items, self.context)
        assert len(bodies) == len(items)
        return [
            (self.context.get_response_status(i)[0], self.context.get_response_headers(i), body)
            for i, body in enumerate(bodies)
        ]

    def respond_one(self, item: dict, headers: dict | None = None) -> tuple[int, dict]:
        """Return the status and the parsed body."""
        status, _, body = self.respond([item], [HTTP | (headers or {})])[0]
        return status, json.loads(body)
