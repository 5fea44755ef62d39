"""The outcome in every shape of answer: an archive with an unknown score, one without, and how to turn it off."""

import base64
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from safetensors.numpy import save_file

from handlers.contract import FEATURES_OUTPUT, UNKNOWN_FILE
from handlers.engines.unknown import UnknownScorer
from handlers.images.preprocessing import load_pixels
from tests.unit.handlers.helpers import HTTP, Worker, encode
from training.unknown.fitting import Features, Head, fit_scorer

GREY = encode(Image.new("RGB", (40, 30), (90, 90, 90)))


@pytest.fixture
def scored_folder(archive_folder, photos, card, spec) -> Path:
    """Make the archive return its features, the mean colour, and give it a score fitted to the three photos."""
    model = onnx.load(archive_folder / "model.onnx")
    for node in model.graph.node:
        node.input[:] = [FEATURES_OUTPUT if name == "colour" else name for name in node.input]
        node.output[:] = [FEATURES_OUTPUT if name == "colour" else name for name in node.output]
    features = helper.make_tensor_value_info(FEATURES_OUTPUT, TensorProto.FLOAT, ["B", 3])
    model.graph.output.append(features)
    onnx.save(model, archive_folder / "model.onnx")
    means = [load_pixels(data, spec).reshape(-1, 3).mean(0) for data in photos.values()]
    rows = np.array(means, np.float32)
    head = Head(weight=np.eye(3, dtype=np.float32) * 0.05, bias=np.zeros(3, np.float32))
    noise = np.random.default_rng(0).normal(scale=8, size=(2, 60, 3)).astype(np.float32)
    train, val = np.tile(rows, (20, 1)) + noise
    labelled = Features(rows=train, labels=np.tile(np.arange(3), 20))
    scorer: UnknownScorer = fit_scorer(labelled, val, head)[0]
    save_file(scorer.arrays(), archive_folder / UNKNOWN_FILE)
    sha256 = hashlib.sha256((archive_folder / UNKNOWN_FILE).read_bytes()).hexdigest()
    scored = dataclasses.replace(card, unknown={"sha256": sha256})
    (archive_folder / "model_card.json").write_text(scored.to_json())
    probes = archive_folder / "probes" / "probes.json"
    content = json.loads(probes.read_text())
    for probe, score in zip(content["probes"], scorer.scores(rows).tolist(), strict=True):
        probe["unknown_score"] = score
    probes.write_text(json.dumps(content))
    return archive_folder


def test_a_photo_of_a_class_is_known_and_another_is_not(scored_folder, photos) -> None:
    worker = Worker(scored_folder)
    _, body = worker.respond_one({"body": bytearray(photos["red"])})
    assert body["outcome"] == "known"
    assert body["unknown_score"] <= 1
    _, body = worker.respond_one({"body": bytearray(GREY)})
    assert body["outcome"] == "unknown"
    assert body["unknown_score"] > 1


@pytest.mark.parametrize("headers", [{"X-Unknown": "off"}, {"x-unknown": "False"}])
def test_a_request_gets_the_old_shape_if_it_asks_for_it(scored_folder, headers) -> None:
    _, body = Worker(scored_folder).respond_one({"body": bytearray(GREY)}, headers)
    assert set(body) == {"model", "predictions"}


def test_so_does_a_form_and_a_host(scored_folder) -> None:
    _, body = Worker(scored_folder).respond_one({"data": bytearray(GREY), "unknown": b"off"})
    assert set(body) == {"model", "predictions"}
    host = Worker(scored_folder, {"handler": {"unknown": False}})
    assert set(host.respond_one({"body": bytearray(GREY)})[1]) == {"model", "predictions"}


def test_unknown_must_be_on_or_off(scored_folder) -> None:
    status, body = Worker(scored_folder).respond_one(
        {"body": bytearray(GREY)}, {"X-Unknown": "maybe"}
    )
    assert (status, body["error"]["code"]) == (400, "invalid_request")


def test_kserve_v1_has_an_outcome_of_each_image(scored_folder, photos) -> None:
    instances = [{"b64": base64.b64encode(data).decode()} for data in (photos["red"], GREY)]
    headers = {"Host": "localhost", "Content-Type": "application/json"}
    responses = Worker(scored_folder).respond([{"body": {"instances": instances}}], [headers])
    body = json.loads(responses[0][2])
    assert [entry["outcome"] for entry in body["predictions"]] == ["known", "unknown"]


def test_open_inference_has_two_more_outputs(scored_folder, photos) -> None:
    images = [base64.b64encode(data).decode() for data in (photos["red"], GREY, b"bad")]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [3], "data": images}
    worker = Worker(scored_folder)
    _, body = worker.respond_one(
        {"body": {"inputs": [tensor]}}, {"Content-Type": "application/json"}
    )
    outputs = {output["name"]: output["data"] for output in body["outputs"]}
    assert outputs["outcome"] == ["known", "unknown", ""]
    assert outputs["unknown_score"][0] <= 1 < outputs["unknown_score"][1]
    _, _, metadata = worker.respond([{}], [HTTP | {"X-Headswap-Model": "metadata"}])[0]
    assert {"outcome", "unknown_score"} <= {o["name"] for o in json.loads(metadata)["outputs"]}


@pytest.mark.parametrize(
    ("folder_name", "settings", "expected"),
    [
        ("scored_folder", {}, ["outcome", "unknown_score"]),
        ("scored_folder", {"unknown": False}, []),
        ("scored_folder", {"unknown": False, "min_probability": 0.5}, ["outcome"]),
        ("archive_folder", {}, []),
        ("archive_folder", {"min_probability": 0.5}, ["outcome"]),
    ],
)
def test_the_metadata_lists_the_outputs_that_the_answers_have(
    request, folder_name: str, settings: dict, expected: list[str]
) -> None:
    worker = Worker(request.getfixturevalue(folder_name), {"handler": settings})
    _, _, body = worker.respond([{}], [HTTP | {"X-Headswap-Model": "metadata"}])[0]
    listed = [output["name"] for output in json.loads(body)["outputs"]]
    assert listed == ["label", "index", "probability", "error", *expected]
    data = base64.b64encode(GREY).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [data]}
    status, _, body = worker.respond(
        [{"body": {"inputs": [tensor]}}], [HTTP | {"Content-Type": "application/json"}]
    )[0]
    assert status == 200
    assert [output["name"] for output in json.loads(body)["outputs"]] == listed


def infer(
    worker: Worker, images: list[bytes], outputs: list[str], **more: object
) -> tuple[int, dict]:
    data = [base64.b64encode(image).decode() for image in images]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}
    content = {"inputs": [tensor], "outputs": [{"name": name} for name in outputs], **more}
    headers = {"Host": "localhost", "Content-Type": "application/json"}
    status, _, body = worker.respond([{"body": content}], [headers])[0]
    return status, json.loads(body)


@pytest.mark.parametrize("name", ["outcome", "unknown_score"])
@pytest.mark.parametrize("case", ["no score", "host", "request"])
def test_an_output_that_the_answer_lacks_cannot_be_named(request, case: str, name: str) -> None:
    folder = request.getfixturevalue("archive_folder" if case == "no score" else "scored_folder")
    worker = Worker(folder, {"handler": {"unknown": False}} if case == "host" else None)
    more = {"parameters": {"unknown": "off"}} if case == "request" else {}
    status, body = infer(worker, [GREY], ["label", name], **more)
    assert (status, body["code"]) == (400, "invalid_request")
    assert body["error"].endswith(
        f"'{name}' does not exist; the outputs are label, index, probability, error."
    )


def test_a_threshold_alone_gives_an_outcome_to_name(archive_folder) -> None:
    worker = Worker(archive_folder, {"handler": {"min_probability": 0.9}})
    status, body = infer(worker, [GREY], ["outcome"])
    assert (status, body["outputs"][0]["data"]) == (200, ["uncertain"])
    status, body = infer(worker, [GREY], ["unknown_score"])
    assert status == 400
    assert "'unknown_score' does not exist" in body["error"]


def test_named_outputs_come_even_if_no_image_can_be_read(scored_folder) -> None:
    worker = Worker(scored_folder)
    status, body = infer(worker, [b"bad", b"worse"], ["outcome", "unknown_score"])
    assert status == 200
    assert [(o["name"], o["data"]) for o in body["outputs"]] == [
        ("outcome", ["", ""]),
        ("unknown_score", [0.0, 0.0]),
    ]


def test_without_a_score_nothing_changes(archive_folder) -> None:
    _, body = Worker(archive_folder).respond_one({"body": bytearray(GREY)})
    assert set(body) == {"model", "predictions"}


def test_a_host_abstains_below_a_probability(archive_folder, photos) -> None:
    worker = Worker(archive_folder, {"handler": {"min_probability": 0.9}})
    assert worker.respond_one({"body": bytearray(GREY)})[1]["outcome"] == "uncertain"
    assert worker.respond_one({"body": bytearray(photos["red"])})[1]["outcome"] == "known"


def test_a_probe_with_another_score_is_refused(scored_folder, caplog) -> None:
    probes = scored_folder / "probes" / "probes.json"
    content = json.loads(probes.read_text())
    content["probes"][0]["unknown_score"] += 0.5
    probes.write_text(json.dumps(content))
    with pytest.raises(RuntimeError, match="unknown score of probe"):
        Worker(scored_folder)


def test_a_changed_score_is_refused(scored_folder) -> None:
    with open(scored_folder / UNKNOWN_FILE, "ab") as file:
        file.write(b"\0")
    with pytest.raises(RuntimeError, match="sha256"):
        Worker(scored_folder)


@pytest.mark.parametrize(
    "section", [{"min_probability": 1.5}, {"min_probability": True}, {"unknown": "off"}]
)
def test_settings_are_checked(archive_folder, section: dict) -> None:
    with pytest.raises(RuntimeError, match=r"handler\."):
        Worker(archive_folder, {"handler": section})
