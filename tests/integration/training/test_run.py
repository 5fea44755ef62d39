"""A small run, from training to its archive: resumed is uninterrupted, frozen is frozen, archived is evaluated."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import torch
import yaml
from safetensors.torch import load_file

from handlers.images.preprocessing import load_pixels
from handlers.settings import FRONTEND_DEFAULTS
from training.config import TrainConfig
from training.data.dataset import preprocessing_of
from training.errors import ConfigError, InterruptedRunError, TrainingInputError
from training.evaluation.evaluation import evaluate
from training.evaluation.report import write_report
from training.export.archive import export_archive
from training.fit.pretrained import EMBEDDED, PRETRAINED
from training.fit.trainer import train
from training.run import Run

SAMPLE = Path(__file__).parents[3] / "sample_data" / "clothing"


def tiny(out: Path, **changes: object) -> TrainConfig:
    config = TrainConfig(
        data=SAMPLE, out=out, architecture="resnet18", weights="embedded", image_size_px=32,
        head_epochs=1, epochs=2, batch_size=64, ema_decay=0.9, finetuned_share=0.5,
        precision="float32",
    )  # fmt: skip
    return replace(config, **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_folder = train(tiny(tmp_path_factory.mktemp("runs") / "whole"))
    evaluate(run_folder)
    return run_folder


def test_resumed_is_uninterrupted(
    whole: Path, tmp_path: Path, interrupted_at: Callable[..., AbstractContextManager[None]]
) -> None:
    config = tiny(tmp_path / "interrupted")
    # In the middle of the last epoch: the head's is 19 steps long, the others 5.
    with interrupted_at(27), pytest.raises(InterruptedRunError, match="--resume"):
        train(config)
    resumed = train(replace(config, resume=True))
    assert Run(folder=resumed).best_path.read_bytes() == Run(folder=whole).best_path.read_bytes()
    histories = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in Run(folder=f).history()]
        for f in (resumed, whole)
    ]
    assert histories[0] == histories[1]


def test_a_frozen_backbone_is_bit_identical_to_its_initial_weights(tmp_path: Path) -> None:
    run = Run(folder=train(tiny(tmp_path / "frozen", freeze="backbone")))
    trained = load_file(run.best_path)
    initial = load_file(PRETRAINED / EMBEDDED["resnet18"][0])
    for name, tensor in initial.items():
        if not name.startswith("fc."):
            assert torch.equal(trained[name], tensor.float()), name


def test_a_run_folder_is_not_overwritten(whole: Path) -> None:
    with pytest.raises(ConfigError, match="already holds a run"):
        train(tiny(whole))


def test_the_archive_computes_what_was_evaluated(whole: Path, tmp_path: Path) -> None:
    import zipfile

    archive = export_archive(whole, name="clothing", version="1.0", model_store=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["clothing-1.0.mar"]
    with zipfile.ZipFile(archive) as packed:
        session = onnxruntime.InferenceSession(packed.read("model.onnx"))
    spec = preprocessing_of(Run(folder=whole).config())
    for photo in Run(folder=whole).evaluation()["photos"][::10]:
        pixels = load_pixels(Path(photo["path"]).read_bytes(), spec)
        probabilities = session.run(None, {"pixels": pixels[None]})[0][0]
        for top in photo["top_classes"]:
            assert probabilities[top["index"]] == pytest.approx(top["probability"], abs=1e-4)
    with pytest.raises(TrainingInputError, match="already exists"):
        export_archive(whole, name="clothing", version="1.0", model_store=tmp_path)


def test_tuned_settings_are_packed_into_the_archive(whole: Path, tmp_path: Path) -> None:
    import zipfile

    from headswap.cli import main

    wanted = {"minWorkers": 3, "maxWorkers": 3, "handler": {"engine": "eager"}}
    (tmp_path / "model-config.yaml").write_text(yaml.safe_dump(wanted))
    code = main([
        "export", str(whole), "--name", "clothing", "--version", "1.0",
        "--model-config", str(tmp_path / "model-config.yaml"), "--model-store", str(tmp_path),
    ])  # fmt: skip
    assert code == 0
    with zipfile.ZipFile(tmp_path / "clothing-1.0.mar") as packed:
        assert yaml.safe_load(packed.read("model-config.yaml")) == {**FRONTEND_DEFAULTS, **wanted}


@pytest.mark.parametrize("name", ["../up", "a/b", "", "-x", "a..b"])
def test_a_name_that_is_not_a_file_name_is_refused(whole: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainingInputError, match="--name"):
        export_archive(whole, name=name, version="1.0", model_store=tmp_path)


def test_a_full_disk_leaves_no_half_archive(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.errors import ExportError
    from training.export import archive

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "_copy_handlers", full)
    with pytest.raises(ExportError, match="No space left"):
        export_archive(whole, name="clothing", version="1.0", model_store=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_report_opens_offline(whole: Path) -> None:
    page = write_report(whole).read_text()
    assert "most confident mistakes" in page.lower()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
