"""Loading an archive: probes, settings, engines, and the messages when it fails."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from handlers import settings
from handlers.engines.engine import Outputs
from handlers.errors import HandlerSettingsError
from handlers.images import jpeg
from handlers.settings import HandlerSettings
from tests.unit.handlers.helpers import Worker, encode


def change_probes(folder, change) -> None:
    path = folder / "probes" / "probes.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_the_log_says_which_version_and_engine_serve(archive_folder, caplog) -> None:
    with caplog.at_level(logging.INFO):
        Worker(archive_folder)
    assert "colours 1.0" in caplog.text
    assert "ONNX Runtime" in caplog.text
    assert "3 probes agree within 0.0" in caplog.text


def test_a_probe_that_disagrees_is_refused(archive_folder) -> None:
    def swap(values: dict) -> None:
        values["probes"][0]["probabilities"].reverse()

    change_probes(archive_folder, swap)
    with pytest.raises(
        RuntimeError, match=r"refusing to serve colours 1\.0: probe red\.jpg differs"
    ):
        Worker(archive_folder)


def test_another_class_order_is_refused(archive_folder, photos) -> None:
    (archive_folder / "probes" / "red.jpg").write_bytes(photos["blue"])
    with pytest.raises(RuntimeError, match="differs by"):
        Worker(archive_folder)


def test_another_preprocessing_is_refused(archive_folder) -> None:
    path = archive_folder / "model_card.json"
    card = json.loads(path.read_text())
    card["preprocessing"]["image_size_px"] = 32
    path.write_text(json.dumps(card))
    with pytest.raises(RuntimeError, match="the network failed"):
        Worker(archive_folder)


def test_a_probe_that_is_not_a_photo_is_refused(archive_folder) -> None:
    (archive_folder / "probes" / "red.jpg").write_bytes(b"not a photo")
    with pytest.raises(RuntimeError, match=r"probe red\.jpg was rejected"):
        Worker(archive_folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values["probes"].clear(),
        lambda values: values.pop("tolerance"),
        lambda values: values.update(tolerance=0),
        lambda values: values.update(tolerance="wide"),
        lambda values: values["probes"][0].update(file="../model_card.json"),
        lambda values: values["probes"][0].update(file="absent.jpg"),
        lambda values: values["probes"][0]["probabilities"].pop(),
        lambda values: values["probes"][0].update(probabilities=[0.1, None, 0.2]),
    ],
)
def test_broken_probes_are_refused(archive_folder, change) -> None:
    change_probes(archive_folder, change)
    with pytest.raises(RuntimeError, match=r"probes/probes\.json"):
        Worker(archive_folder)


@pytest.mark.parametrize("name", ["model_card.json", "probes/probes.json"])
def test_a_missing_file_is_named(archive_folder, name: str) -> None:
    (archive_folder / name).unlink()
    with pytest.raises(RuntimeError, match=name):
        Worker(archive_folder)


def test_a_broken_onnx_file_falls_back_to_the_weights(archive_folder, caplog) -> None:
    (archive_folder / "model.onnx").write_bytes(b"broken")
    with pytest.raises(RuntimeError, match=r"weights\.safetensors cannot be read"):
        Worker(archive_folder)
    assert "PyTorch serves instead" in caplog.text


def make_int8(folder) -> None:
    """Make the card say that model.onnx is quantised; both networks give the same probabilities here."""
    path = folder / "model_card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"precision": "int8"}))
    probes = folder / "probes" / "probes.json"
    (folder / "probes" / "float32.json").write_text(probes.read_text())


def test_a_quantised_network_must_match_its_own_probes(archive_folder, caplog) -> None:
    make_int8(archive_folder)
    described = Worker(archive_folder).handler._classifier.describe()
    assert described["served_with"]["precision"] == "int8"
    assert "float32" not in caplog.text

    def reverse(values: dict) -> None:
        values["probes"][0]["probabilities"].reverse()

    change_probes(archive_folder, reverse)
    with pytest.raises(RuntimeError, match=r"probe red\.jpg differs"):
        Worker(archive_folder)


def test_a_quantised_archive_needs_the_float32_probes_too(archive_folder) -> None:
    make_int8(archive_folder)
    (archive_folder / "probes" / "float32.json").unlink()
    with pytest.raises(RuntimeError, match=r"probes/float32\.json .*cannot be read"):
        Worker(archive_folder)


def test_a_configured_engine_must_be_available(archive_folder) -> None:
    (archive_folder / "model.onnx").unlink()
    with pytest.raises(RuntimeError, match=r"holds no model\.onnx"):
        Worker(archive_folder, {"handler": {"engine": "onnx"}})


def test_without_simplejpeg_the_log_says_so_and_the_response_is_the_same(
    archive_folder, photos, caplog, monkeypatch
) -> None:
    item = {"body": bytearray(photos["red"])}
    fast = Worker(archive_folder).respond_one(item)
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    assert Worker(archive_folder).respond_one(item) == fast
    assert "simplejpeg is not installed" in caplog.text


def test_settings_reach_the_handler(archive_folder, photos) -> None:
    worker = Worker(archive_folder, {"handler": {"default_top_k": 1, "max_pixels": 1200}})
    assert len(worker.respond_one({"body": bytearray(photos["red"])})[1]["predictions"]) == 1
    status, body = worker.respond_one({"body": bytearray(encode(Image.new("RGB", (40, 31))))})
    assert (status, body["error"]["code"]) == (413, "image_too_large")


@pytest.mark.parametrize(
    "section",
    [
        {"engine": "fast"},
        {"precision": "int4"},
        {"threads_per_worker": 0},
        {"max_pixels": "many"},
        {"decode_budget_s": 0},
        {"largest_batch": True},
        {"no_such_setting": 1},
        ["engine"],
    ],
)
def test_an_invalid_setting_is_named(section: object) -> None:
    name = next(iter(section))
    with pytest.raises(HandlerSettingsError, match=f"handler.*{name}"):
        HandlerSettings.from_model_config({"handler": section})


@pytest.mark.parametrize(("value", "count"), [("3", 3), ("", 1), ("0", 1), ("x", 1), ("64", 4)])
def test_threads_follow_the_environment_unless_set(monkeypatch, value: str, count: int) -> None:
    monkeypatch.setattr(settings, "cpu_count", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert HandlerSettings().thread_count == count
    assert HandlerSettings(threads_per_worker=2).thread_count == 2


def test_a_worker_has_no_more_threads_than_the_quota_allows(monkeypatch) -> None:
    monkeypatch.setattr(settings, "cpu_count", lambda: 4)
    assert HandlerSettings(threads_per_worker=16).thread_count == 4


def test_a_large_batch_is_split(archive_folder, photos) -> None:
    worker = Worker(archive_folder, {"handler": {"largest_batch": 2}})
    items = [{"body": bytearray(photos[name])} for name in ("red", "green", "blue", "red", "blue")]
    labels = [json.loads(body)["predictions"][0]["label"] for _, _, body in worker.respond(items)]
    assert labels == ["red", "green", "blue", "red", "blue"]


def test_a_request_over_its_decode_budget_does_not_affect_the_others(
    archive_folder, photos
) -> None:
    worker = Worker(archive_folder, {"handler": {"decode_budget_s": 1e-9}})
    many = {name: bytearray(data) for name, data in photos.items()}
    several, single = worker.respond([many, {"body": bytearray(photos["red"])}])
    results = json.loads(several[2])["results"]
    assert "predictions" in results[0]
    assert [result["error"]["code"] for result in results[1:]] == ["image_too_large"] * 2
    assert single[0] == 200


def test_a_failing_engine_is_an_internal_error_without_details(worker, photos, monkeypatch) -> None:
    def fail(batch: list) -> None:
        raise RuntimeError("CUDA out of memory")

    pipeline = worker.handler._classifier.pipeline
    monkeypatch.setattr(pipeline._engine, "outputs", fail)
    responses = worker.respond([{"body": bytearray(photos["red"])}, {"body": bytearray(b"bad")}])
    codes = [json.loads(body)["error"]["code"] for _, _, body in responses]
    assert codes == ["internal", "undecodable_image"]
    assert responses[0][0] == 500
    assert "CUDA" not in responses[0][2].decode()


def test_probabilities_that_are_not_finite_are_an_internal_error(
    worker, photos, monkeypatch
) -> None:
    pipeline = worker.handler._classifier.pipeline
    monkeypatch.setattr(
        pipeline._engine,
        "outputs",
        lambda batch: Outputs(np.full((len(batch), 3), np.nan), None),
    )
    status, body = worker.respond_one({"body": bytearray(photos["red"])})
    assert (status, body["error"]["code"]) == (500, "internal")
