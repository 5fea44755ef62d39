"""The Open Inference Protocol v2: shapes of data, its binary tensor data extension, and querys about the model."""

import json
import struct
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.handlers.helpers import HTTP

V2_PATH = {"Host": "localhost"}


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def element(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def tensor(**fields: object) -> dict:
    return {"name": "image", "datatype": "BYTES", **fields}


def ask(worker, *tensors: dict, **more: object) -> tuple[int, dict]:
    content = {"inputs": list(tensors), "parameters": {"top_k": 1}, **more}
    status, _, body = worker.respond([{"body": content}], [V2_PATH])[0]
    return status, json.loads(body)


def ask_binary(worker, content: object, data: bytes, **headers: str) -> tuple[int, dict, bytes]:
    """Return the status, the headers and the body."""
    text = json.dumps(content).encode()
    sent = {"Inference-Header-Content-Length": str(len(text))} | headers
    return worker.respond([{"body": bytearray(text + data)}], [V2_PATH | sent])[0]


def labels(content: dict) -> list[str]:
    return content["outputs"][0]["data"]


def test_data_may_be_flat_nested_or_a_single_text(worker, photos) -> None:
    red, green = b64(photos["red"]), b64(photos["green"])
    for data, shape, expected in (
        ([red, green], [2], ["red", "green"]),
        ([[red], [green]], [2, 1], ["red", "green"]),
        ([[[red, green]]], [1, 1, 2], ["red", "green"]),
        (red, [1], ["red"]),
        (red, [], ["red"]),
        ({"b64": red}, [1], ["red"]),
        ([red, green], None, ["red", "green"]),
    ):
        status, content = ask(worker, tensor(data=data, shape=shape))
        assert (status, labels(content)) == (200, expected)


def test_the_images_of_several_inputs_are_answered_in_their_order(worker, photos) -> None:
    inputs = [tensor(shape=[1], data=[b64(photos[name])]) for name in ("blue", "red")]
    assert labels(ask(worker, *inputs)[1]) == ["blue", "red"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"shape": [2], "data": ["AA=="]},
            "has the shape [2], but the number of elements in its data is 1",
        ),
        ({"shape": [1, 2, 3], "data": ["AA=="] * 5}, "the shape must be [5]"),
        ({"shape": [-1], "data": ["AA=="]}, "has the shape [-1]"),
        ({"shape": "1", "data": ["AA=="]}, "has the shape '1'"),
        ({"shape": [True], "data": ["AA=="]}, "has the shape [True]"),
        ({"shape": [0], "data": []}, "holds no data"),
        ({"shape": [1], "data": [[[]]]}, "holds no data"),
        ({"shape": [1]}, "holds no data"),
        ({"shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}, "the datatype 'FP32'"),
        (
            {"parameters": {"binary_data_size": 7}},
            "binary_data_size of input 'image' must be 0 to 0",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_one_sentence(worker, fields: dict, sentence: str) -> None:
    status, content = ask(worker, tensor(**fields))
    assert status == 400
    assert sentence in content["error"]
    assert content["code"] == "invalid_request"


def test_other_paths_have_the_error_of_all_other_requests(worker) -> None:
    status, content = worker.respond_one({"body": {"inputs": [tensor(shape=[3], data=["AA=="])]}})
    assert (status, content["error"]["code"]) == (400, "invalid_request")


def test_binary_tensors_are_read_in_their_order(worker, photos) -> None:
    two = element(photos["red"]) + element(b"bad")
    one = element(photos["green"])
    inputs = [
        tensor(shape=[2], parameters={"binary_data_size": len(two)}),
        tensor(shape=[1], data=[b64(photos["blue"])]),
        tensor(shape=[1, 1], parameters={"binary_data_size": len(one)}),
    ]
    content = {"id": "7", "inputs": inputs, "parameters": {"top_k": 1}}
    # TorchServe parses a body of JSON; where that fails for the data behind it, it passes the bytes on.
    for content_type in ("application/octet-stream", "application/json", ""):
        status, _, body = ask_binary(worker, content, two + one, **{"Content-Type": content_type})
        answer = json.loads(body)
        assert (status, answer["id"]) == (200, "7")
        assert labels(answer) == ["red", "", "blue", "green"]
        assert answer["outputs"][3]["data"] == ["", "undecodable_image", "", ""]


def test_outputs_come_as_binary_data_where_requested(worker, photos) -> None:
    data = element(photos["green"]) + element(b"bad")
    content = {
        "inputs": [tensor(shape=[2], parameters={"binary_data_size": len(data)})],
        "parameters": {"binary_data_output": True, "top_k": 2},
    }
    status, headers, body = ask_binary(worker, content, data)
    length = int(headers["inference-header-content-length"])
    outputs, rest = json.loads(body[:length])["outputs"], body[length:]
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    parts = {}
    for output in outputs:
        assert "data" not in output
        size = output["parameters"]["binary_data_size"]
        parts[output["name"]], rest = rest[:size], rest[size:]
    assert rest == b""
    assert parts["label"].startswith(element(b"green"))
    assert parts["label"].endswith(element(b"") * 2)
    assert struct.unpack("<4q", parts["index"])[0] == 1
    assert struct.unpack("<4q", parts["index"])[2:] == (-1, -1)
    assert struct.unpack("<4f", parts["probability"])[0] == pytest.approx(0.9996, abs=1e-3)
    assert parts["error"] == element(b"") + element(b"undecodable_image")


def test_only_requested_outputs_come_each_as_it_was_requested(worker, photos) -> None:
    outputs = [{"name": "probability", "parameters": {"binary_data": True}}, {"name": "label"}]
    content = {"inputs": [tensor(shape=[1], data=[b64(photos["red"])])], "outputs": outputs}
    _, headers, body = worker.respond([{"body": content}], [V2_PATH])[0]
    length = int(headers["inference-header-content-length"])
    first, second = json.loads(body[:length])["outputs"]
    assert (first["name"], first["parameters"]) == ("probability", {"binary_data_size": 12})
    assert (second["name"], second["data"][0]) == ("label", "red")
    assert len(body) - length == 12
    status, answer = ask(worker, *content["inputs"], outputs=[{"name": "logits"}])
    assert status == 400
    assert "'logits' does not exist; the outputs are label, index" in answer["error"]


@pytest.mark.parametrize(
    ("size", "data", "sentence"),
    [
        (8, element(b"abcd") + b"x", "1 bytes follow the data of the last tensor"),
        (9, element(b"abcd"), "must be 0 to 8, the bytes that follow, not 9"),
        (7, element(b"abcd")[:7], "cannot be split into elements"),
        (3, b"\1\0\0", "cannot be split into elements"),
        (4, b"\xff\xd8\xff\xe0", "cannot be split into elements"),
        (-1, b"", "must be 0 to 0"),
        (True, b"", "must be 0 to 0"),
        (0, b"", "holds no data"),
    ],
)
def test_binary_data_that_do_not_fit_are_one_sentence(worker, size, data, sentence) -> None:
    content = {"inputs": [tensor(shape=[1], parameters={"binary_data_size": size})]}
    status, _, body = ask_binary(worker, content, data)
    assert status == 400
    assert sentence in json.loads(body)["error"]


@pytest.mark.parametrize("length", ["-1", "x", "", "99999", "1_0", "٣", "2", "9" * 5000])
def test_a_wrong_length_of_the_json_is_one_sentence(worker, length: str) -> None:
    sent = {"Inference-Header-Content-Length": length}
    status, _, body = ask_binary(worker, {"inputs": []}, b"", **sent)
    assert status == 400
    assert "Inference-Header-Content-Length" in json.loads(body)["error"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), values, max_size=5
    ),
    values,
    values,
    st.binary(max_size=20),
)
def test_no_tensor_causes_a_server_error(worker, fields, parameters, outputs, data) -> None:
    fields = {"datatype": "BYTES", **fields, "parameters": {"binary_data_size": len(data)}}
    content = {"inputs": [fields], "outputs": outputs, "parameters": parameters}
    assert ask_binary(worker, content, data)[0] in (200, 400, 415)
    assert ask(worker, fields | {"parameters": parameters})[0] in (200, 400, 415)


def test_a_model_says_that_it_is_ready_and_what_it_takes(worker) -> None:
    status, _, body = worker.respond(
        [{"body": bytearray()}], [HTTP | {"X-Headswap-Model": "ready"}]
    )[0]
    assert (status, json.loads(body)) == (200, {"name": "colours", "ready": True})
    _, _, body = worker.respond([{}], [HTTP | {"X-Headswap-Model": "metadata"}])[0]
    metadata = json.loads(body)
    assert (metadata["name"], metadata["versions"]) == ("colours", ["1.0"])
    assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    outputs = [output["name"] for output in metadata["outputs"]]
    assert outputs == ["label", "index", "probability", "error"]
