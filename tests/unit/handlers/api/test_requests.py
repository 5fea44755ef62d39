"""Every shape of request, over both transports, gives the same images and options."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.contract import DRAIN_MARKER_FILE, VERSION_RETIRED
from tests.unit.handlers.helpers import HTTP

GRPC: dict = {}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def top(result: dict) -> str:
    return result["predictions"][0]["label"]


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "x/y", ""])
def test_a_raw_body_may_have_any_content_type(worker, photos, content_type: str) -> None:
    status, body = worker.respond_one(
        {"body": bytearray(photos["green"])}, {"Content-Type": content_type}
    )
    assert status == 200
    assert body["model"] == {"name": "colours", "version": "1.0"}
    assert top(body) == "green"
    assert sorted(p["index"] for p in body["predictions"]) == [0, 1, 2]
    assert sum(p["probability"] for p in body["predictions"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("key", ["data", "body", "anything"])
def test_grpc_input_map(worker, photos, key: str) -> None:
    item = {key: bytearray(photos["blue"]), "top_k": bytearray(b"1")}
    status, _, body = worker.respond([item], [GRPC])[0]
    content = json.loads(body)
    assert status == 200
    assert top(content) == "blue"
    assert len(content["predictions"]) == 1


def test_both_transports_give_the_same_bytes(worker, photos) -> None:
    items = [{"body": bytearray(photos["red"])}, {"data": bytearray(photos["red"])}]
    http, grpc = worker.respond(items, [HTTP, GRPC])
    assert http[2] == grpc[2]


def test_a_response_over_grpc_is_the_last_of_its_stream(worker, photos) -> None:
    """Without this header, TorchServe's StreamPredictions kills the worker; over HTTP it would change the response."""
    items = [{"data": bytearray(data)} for data in (photos["red"], b"no photo", photos["red"])]
    _, over_grpc, _ = worker.respond(items, [GRPC] * 3)[1]
    assert over_grpc["ts_stream_next"] == "false"
    http_1_0 = {"content-length": "700"}
    for _, headers, _ in worker.respond(items, [HTTP, http_1_0, HTTP]):
        assert "ts_stream_next" not in headers


def test_a_stream_ends_while_the_version_is_drained(worker, photos, archive_folder) -> None:
    (archive_folder / DRAIN_MARKER_FILE).write_text(VERSION_RETIRED)
    item = {"data": bytearray(photos["red"])}
    grpc, http = worker.respond([item, item], [GRPC, HTTP])
    assert (grpc[0], grpc[1]["ts_stream_next"]) == (404, "false")
    assert "ts_stream_next" not in http[1]


def test_a_multipart_form_with_several_files_is_answered_in_order(worker, photos) -> None:
    item = {name: bytearray(data) for name, data in photos.items()} | {"top_k": "1"}
    item["broken"] = bytearray(b"not a photo")
    status, body = worker.respond_one(item)
    assert status == 200
    assert [top(result) for result in body["results"][:3]] == ["red", "green", "blue"]
    assert body["results"][3]["error"]["code"] == "undecodable_image"


def test_kserve_v1_json(worker, photos) -> None:
    instances = [{"b64": b64(photos["red"])}, {"image_bytes": {"b64": b64(photos["blue"])}}]
    content = {"instances": instances, "parameters": {"top_k": 1}}
    _, native = worker.respond_one({"body": content})
    assert [top(result) for result in native["results"]] == ["red", "blue"]
    assert [result["name"] for result in native["results"]] == ["0", "1"]
    _, _, body = worker.respond([{"body": content}], [{"Host": "localhost"}])[0]
    kserve = json.loads(body)
    assert kserve["predictions"] == native["results"]


def test_open_inference_json(worker, photos) -> None:
    data = [b64(photos["blue"]), b64(b"nonsense"), b64(photos["red"])]
    tensor = {"name": "images", "shape": [3], "datatype": "BYTES", "data": data}
    content = {"id": "42", "inputs": [tensor], "parameters": {"top_k": 2}}
    status, body = worker.respond_one({"body": content})
    outputs = {output["name"]: output for output in body["outputs"]}
    assert status == 200
    assert (body["id"], body["model_name"], body["model_version"]) == ("42", "colours", "1.0")
    assert outputs["label"]["shape"] == [3, 2]
    assert outputs["label"]["data"][::2] == ["blue", "", "red"]
    assert outputs["index"]["data"][2:4] == [-1, -1]
    assert outputs["error"]["data"] == ["", "undecodable_image", ""]


def test_a_single_invalid_image_gets_the_error_of_the_open_inference_protocol(worker) -> None:
    tensor = {"name": "images", "shape": [1], "datatype": "BYTES", "data": [b64(b"nonsense")]}
    status, body = worker.respond_one({"body": {"inputs": [tensor]}})
    assert status == 400
    assert isinstance(body["error"], str)
    assert body["code"] == "undecodable_image"


def test_plain_json_may_arrive_parsed_as_text_or_as_bytes(worker, photos) -> None:
    text = json.dumps({"b64": b64(photos["green"]), "top_k": 1})
    for value in (json.loads(text), text, bytearray(text.encode())):
        status, body = worker.respond_one({"body": value})
        assert (status, top(body), len(body["predictions"])) == (200, "green", 1)


def test_base64_text_and_data_uri(worker, photos) -> None:
    text = b64(photos["green"])
    urlsafe = text.replace("+", "-").replace("/", "_").rstrip("=")
    for value in (text, f"data:image/jpeg;base64,{text}", urlsafe, text[:40] + "\n" + text[40:]):
        assert top(worker.respond_one({"body": value})[1]) == "green"


@pytest.mark.parametrize(
    ("item", "headers", "status", "code"),
    [
        ({}, {}, 400, "empty_body"),
        ({"body": bytearray()}, {}, 400, "empty_body"),
        ({"body": ""}, {}, 400, "empty_body"),
        ({"top_k": bytearray(b"3")}, {}, 400, "empty_body"),
        ({"body": bytearray(b"hello there")}, {}, 400, "undecodable_image"),
        ({"body": bytearray(b"%PDF-1.4")}, {}, 415, "unsupported_media_type"),
        ({"body": "no base64 at all!"}, {}, 400, "invalid_request"),
        ({"body": {}}, {}, 400, "invalid_request"),
        ({"body": []}, {}, 400, "invalid_request"),
        ({"body": {"instances": []}}, {}, 400, "invalid_request"),
        ({"body": {"instances": "x"}}, {}, 400, "invalid_request"),
        ({"body": {"inputs": [{"datatype": "FP32", "data": [1]}]}}, {}, 400, "invalid_request"),
        ({"body": {"b64": 7}}, {}, 400, "invalid_request"),
        ({"body": 7}, {}, 400, "invalid_request"),
        ({"body": None}, {}, 400, "invalid_request"),
        ({"body": {"instances": ["AA=="] * 65}}, {}, 400, "invalid_request"),
        ({"body": bytearray(b"{]")}, {"Content-Type": "application/json"}, 400, "invalid_request"),
        ({"a": "b"}, {"content-type": "application/x-www-form-urlencoded"}, 400, "invalid_request"),
        # Of many photos, TorchServe's form decoder leaves nothing.
        ({}, {"content-type": "application/x-www-form-urlencoded"}, 400, "invalid_request"),
        ({"body": bytearray(b"x")}, {"X-Request-Deadline-Ms": "soon"}, 400, "invalid_request"),
    ],
)
def test_invalid_requests_are_rejected(
    worker, item: dict, headers: dict, status: int, code: str
) -> None:
    actual, body = worker.respond_one(item, headers)
    assert (actual, body["error"]["code"]) == (status, code)
    assert body["error"]["status"] == status
    assert body["error"]["message"].endswith(".")


def test_the_error_of_a_urlencoded_photo_says_which_curl_line_works(worker) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "40000"}
    _, body = worker.respond_one({"\xff\xd8": bytearray(b"\x00")}, headers)
    assert "-H 'Content-Type: application/octet-stream'" in body["error"]["message"]
    assert "curl -T" in body["error"]["message"]
    _, body = worker.respond_one({}, headers | {"Content-Length": "0"})
    assert body["error"]["code"] == "empty_body"


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "1_0", "٣", "9" * 20])
def test_an_invalid_top_k_is_rejected(worker, photos, text: str) -> None:
    status, body = worker.respond_one({"body": bytearray(photos["red"])}, {"x-top-k": text})
    assert (status, body["error"]["code"]) == (400, "invalid_top_k")


def test_top_k_is_at_most_the_number_of_classes(worker, photos) -> None:
    for text, count in (("1", 1), ("3", 3), ("99", 3)):
        _, body = worker.respond_one({"body": bytearray(photos["red"])}, {"X-TOP-K": text})
        assert len(body["predictions"]) == count


def test_an_image_past_its_deadline_is_not_classified(worker, photos, monkeypatch) -> None:
    item = {"body": bytearray(photos["red"])}
    counts = []
    classify = worker.handler._classifier.pipeline.classify
    monkeypatch.setattr(
        worker.handler._classifier.pipeline,
        "classify",
        lambda photos, timings: counts.append(len(photos)) or classify(photos, timings),
    )
    late = {"X-Request-Deadline-Ms": "100", "X-Request-Start": "t=1700000000.5"}
    status, body = worker.respond_one(item, late)
    assert (status, body["error"]["code"]) == (504, "deadline_exceeded")
    assert counts == [0]
    for early in ({"X-Request-Deadline-Ms": "60000"}, {"X-Request-Deadline-Ms": "99999999999999"}):
        assert worker.respond_one(item, early)[0] == 200


def test_only_safe_headers_are_echoed(worker, photos) -> None:
    item = {"body": bytearray(photos["red"])}
    for value, is_echoed in (
        ("abc-1", True),
        ("a\r\nSet-Cookie: x", False),
        ("é", False),
        ("", False),
    ):
        _, headers, _ = worker.respond([item], [HTTP | {"X-Correlation-ID": value}])[0]
        assert (headers.get("x-correlation-id") == value) is is_echoed
        assert headers["X-Model-Version"] == "1.0"
        assert all(isinstance(text, str) for text in headers.values())


def test_ids_may_come_as_grpc_keys(worker, photos) -> None:
    for value, is_echoed in (
        (b"abc-1", True),
        (b"a\r\nb", False),
        (b"\xff", False),
        (b"a" * 256, True),
        (b"a" * 257, False),
    ):
        item = {"data": bytearray(photos["red"]), "X-Correlation-Id": bytearray(value)}
        status, headers, body = worker.respond([item], [GRPC])[0]
        # The response to a single image, for an id is not an image.
        assert (status, top(json.loads(body))) == (200, "red")
        assert ("x-correlation-id" in headers) is is_echoed
        assert headers.get("x-correlation-id", value.decode("latin-1")) == value.decode("latin-1")


def test_a_header_takes_precedence_over_a_field_of_its_name(worker, photos) -> None:
    item = {"data": bytearray(photos["red"]), "traceparent": b"field"}
    _, headers, _ = worker.respond([item], [HTTP | {"Traceparent": "header"}])[0]
    assert headers["traceparent"] == "header"


def test_every_request_of_a_batch_has_its_own_response(worker, photos) -> None:
    items = [
        {"body": bytearray(photos["red"])},
        {"body": bytearray(b"bad")},
        {"body": {"instances": [{"b64": b64(photos["green"])}, {"b64": "!"}]}},
        {"data": bytearray(photos["blue"])},
        {},
    ]
    responses = worker.respond(items, [HTTP, HTTP, HTTP, GRPC, HTTP])
    assert [status for status, _, _ in responses] == [200, 400, 200, 200, 400]
    third = json.loads(responses[2][2])["results"]
    assert top(third[0]) == "green"
    assert third[1]["error"]["code"] == "invalid_request"


def test_describe_returns_the_model_card(worker) -> None:
    status, headers, body = worker.respond([{}], [{"describe": "True"}])[0]
    described = json.loads(body)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert described["class_names"] == ["red", "green", "blue"]
    assert "ONNX Runtime" in described["served_with"]["pipeline"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["instances", "inputs", "b64", "data", "datatype", "id", "top_k", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
names = st.sampled_from(["X-Top-K", "Accept", "explain", "X-Request-Deadline-Ms", "traceparent"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text(max_size=8), json_values | st.binary(max_size=40), max_size=3),
    st.dictionaries(names | st.text(max_size=8), st.text(max_size=30), max_size=4),
)
def test_no_request_causes_a_server_error(worker, item: dict, headers: dict) -> None:
    status, sent, body = worker.respond([item], [headers])[0]
    assert status in (200, 400, 413, 415, 504)
    json.loads(body)
    assert all("\r" not in text and "\n" not in text for text in sent.values())


@pytest.mark.parametrize("name", ["top_k", "x-top-k", "X-Top-K"])
def test_an_option_may_have_its_headers_name_where_there_are_no_headers(
    worker, photos, name: str
) -> None:
    """As in gRPC, and in JSON that a gateway passes on."""
    grpc = {"data": bytearray(photos["red"]), name: b"1"}
    [(status, _, body)] = worker.respond([grpc], [{}])
    assert (status, len(json.loads(body)["predictions"])) == (200, 1)
    image = {"b64": base64.b64encode(photos["red"]).decode()}
    for content in ({"instances": [image], name: 1}, {**image, "parameters": {name: 1}}):
        _, answer = worker.respond_one({"body": content}, {"content-type": "application/json"})
        [predictions] = [r["predictions"] for r in answer.get("results", [answer])]
        assert len(predictions) == 1
