"""With --fit pad and stretch, the handler of the exported archive gives the probabilities of the evaluation."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handlers.images.preprocessing import Fit
from tests.unit.handlers.helpers import Worker
from training.config import TrainConfig
from training.evaluation.evaluation import evaluate
from training.export.archive import export_archive
from training.fit.trainer import train
from training.run import Run


@pytest.fixture(scope="module")
def wide_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return grey photos three times as wide as high, whose classes differ in the colour of their ends alone."""
    folder = tmp_path_factory.mktemp("wide")
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2), ("test", 3)):
        for name, colour in (("blue", (30, 30, 220)), ("red", (220, 30, 30))):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(90, 160, (40, 120, 3), dtype=np.uint8)
                pixels[:, :30] = pixels[:, 90:] = colour
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_what_is_served_is_what_was_evaluated(
    small_config: Callable[..., TrainConfig], wide_photos: Path, tmp_path: Path, fit: Fit
) -> None:
    config = small_config(
        data=wide_photos, fit=fit, architecture="resnet18", weights="embedded", freeze="backbone",
        head_epochs=10, head_learning_rate=0.01, image_size_px=64,
    )  # fmt: skip
    run_folder = train(config)
    # By the ends of the photos, which a crop of the centre loses.
    assert evaluate(run_folder).accuracy == 1
    packed = export_archive(
        run_folder, name="wide", version="1", model_store=tmp_path, cpu_engine="onnx"
    )
    folder = tmp_path / "extracted"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    worker = Worker(folder)
    for photo in Run(folder=run_folder).evaluation()["photos"]:
        status, body = worker.respond_one({"body": Path(photo["path"]).read_bytes()})
        served, evaluated = body["predictions"], photo["top_classes"]
        assert status == 200
        assert [entry["index"] for entry in served] == [entry["index"] for entry in evaluated]
        assert [entry["probability"] for entry in served] == pytest.approx(
            [entry["probability"] for entry in evaluated], abs=1e-4
        )
