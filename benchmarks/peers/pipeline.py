"""What every Python peer runs per photo: Pillow, the usual resize and crop, ONNX Runtime on one thread.

All of them get the same engine, so that servers are compared and not engines. Photos are preprocessed as in the peers'
own tutorials: decoded at full size, shorter side to 256, centre crop of 224.
"""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

FOLDER = Path(os.environ.get("BENCH_NETWORK", "."))
SIZE_PX = 224
RESIZE_PX = 256


def open_session() -> onnxruntime.InferenceSession:
    """Return the exported network on one thread: one process per core is the fastest way to use a CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(FOLDER / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )


def pixels(body: bytes) -> np.ndarray:
    """Return `(224, 224, 3) uint8` RGB, 0..255."""
    image = Image.open(io.BytesIO(body)).convert("RGB")
    scale = RESIZE_PX / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - SIZE_PX) // 2, (height - SIZE_PX) // 2
    return np.asarray(image.crop((left, top, left + SIZE_PX, top + SIZE_PX)))


def answer(probabilities: np.ndarray) -> dict[str, Any]:
    """Return the top five of probabilities `(K,) float32`."""
    order = probabilities.argsort()[::-1][:5]
    return {
        "predictions": [
            {"index": int(index), "probability": float(probabilities[index])} for index in order
        ]
    }


def classify(session: onnxruntime.InferenceSession, body: bytes) -> dict[str, Any]:
    return answer(session.run(None, {"pixels": pixels(body)[None]})[0][0])
