"""How often an archive agrees with its float32 network in plain PyTorch.

    python -m benchmarks.serving.agreement model_store/clothing-1.0.mar photos/test

The folder has one folder of photos per class, named as the model's classes. The archive classifies the photos as the
server would, with the engine it would choose here. Its probabilities are compared with those of the float32 network in
plain PyTorch twice: on the same pixels, which tests the engine, and on pixels that Pillow decoded at full size, which
tests scaled decoding too. Prints JSON: shares of photos with the same first class, correct answers, largest
differences.
"""

import argparse
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image, ImageOps

from handlers.answer import ImageResult
from handlers.engines.network import Network, load_network
from handlers.engines.pipelines import choose_pipeline
from handlers.errors import RequestRejectedError
from handlers.extracted import open_extracted
from handlers.images.loaders import EncodedPhoto, Timings
from handlers.images.preprocessing import PreprocessingSpec, central_square, load_pixels
from handlers.settings import EngineChoice, HandlerSettings

STEP = 32


def decode_whole(data: bytes, spec: PreprocessingSpec) -> np.ndarray:
    """Return `(S, S, 3) uint8` pixels, decoded at full size and resampled in one step."""
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    side = spec.image_size_px
    small = upright.resize(
        (side, side),
        {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[
            spec.interpolation
        ],
        box=central_square(upright.size, spec.resize_ratio),
    )
    return np.array(small)


def compare(folder: Path, photos: list[Path], engine: EngineChoice) -> dict[str, object]:
    """Return the figures of an extracted archive on photos whose folders name their classes."""
    archive = open_extracted(folder)
    settings = HandlerSettings(engine=engine)
    pipeline = choose_pipeline(archive, settings, gpu_id=0 if torch.cuda.is_available() else None)
    network = load_network(archive)
    spec = archive.card.preprocessing
    served, eager, whole = [], [], []
    for start in range(0, len(photos), STEP):
        files = [path.read_bytes() for path in photos[start : start + STEP]]
        served += [
            probabilities_of(result)
            for result in pipeline.classify([EncodedPhoto(data) for data in files], Timings())
        ]
        eager.append(compute(network, [load_pixels(data, spec) for data in files]))
        whole.append(compute(network, [decode_whole(data, spec) for data in files]))
    rows = np.stack(served)
    labels = np.array([archive.card.class_names.index(path.parent.name) for path in photos])
    return {
        "pipeline": pipeline.name,
        "photos": len(photos),
        "correct_served": int((rows.argmax(1) == labels).sum()),
        "same_pixels": agreement(rows, np.concatenate(eager), labels),
        "decoded_whole": agreement(rows, np.concatenate(whole), labels),
    }


def probabilities_of(result: ImageResult) -> np.ndarray:
    """Return the probabilities `(K,) float32`. Raises the error of a photo that was rejected."""
    if isinstance(result, RequestRejectedError):
        raise result
    return result.probabilities


def compute(network: Network, pixels: list[np.ndarray]) -> np.ndarray:
    """Return the probabilities `(B, K) float32` of `(S, S, 3) uint8` pixels."""
    with torch.inference_mode():
        rows: np.ndarray = network(torch.from_numpy(np.stack(pixels))).numpy()
    return rows


def agreement(rows: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return how probabilities `(N, K)` compare with the expected ones and the labels `(N,)`."""
    return {
        "top_1_agreement": round(float((rows.argmax(1) == expected.argmax(1)).mean()), 5),
        "correct_reference": int((expected.argmax(1) == labels).sum()),
        "largest_difference": float(np.abs(rows - expected).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--engine", choices=get_args(EngineChoice), default="auto")
    arguments = parser.parse_args()
    photos = sorted(path for path in arguments.photos.glob("*/*") if path.is_file())
    if not photos:
        raise SystemExit(f"{arguments.photos} contains no photos in class folders.")
    with tempfile.TemporaryDirectory() as extracted:
        with zipfile.ZipFile(arguments.archive) as content:
            content.extractall(extracted)
        figures = compare(Path(extracted), photos, arguments.engine)
    print(json.dumps({"archive": arguments.archive.name} | figures, indent=1))


if __name__ == "__main__":
    main()
