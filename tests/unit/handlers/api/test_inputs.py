"""Which inputs are images, how results name them, and what happens to two inputs of one name."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ts.service import Service

from handlers.api.inputs import MAX_NAME_LENGTH, REPEATED_INPUTS
from handlers.entry import record_repeated_inputs
from tests.unit.handlers.helpers import HTTP

FORM = HTTP | {"Content-Type": "multipart/form-data; boundary=x"}
FILE = {"content-type": "application/octet-stream"}
# What TorchServe says of text fields, of query parameters and of all keys of gRPC.
NO_TYPE = {"content-type": ""}


def labels_by_name(content: dict) -> list[tuple[str, str]]:
    return [(entry["name"], entry["predictions"][0]["label"]) for entry in content["results"]]


def ask_grpc(worker, item: dict) -> tuple[int, dict]:
    """Send a map as TorchServe passes it on, in the order given."""
    item = {name: bytearray(value) for name, value in item.items()}
    status, _, body = worker.respond([item], [dict.fromkeys(item, NO_TYPE)])[0]
    return status, json.loads(body)


def ask_form(worker, files: dict, texts: dict) -> tuple[int, dict]:
    item = {name: bytearray(value) for name, value in (files | texts).items()}
    raw = FORM | dict.fromkeys(files, FILE) | dict.fromkeys(texts, NO_TYPE)
    return worker.respond_one(item, raw)


def test_results_of_grpc_name_their_keys_in_an_order_that_does_not_depend_on_the_map(
    worker, photos
) -> None:
    sent = {"b": photos["green"], "10": photos["blue"], "a": photos["red"], "9": photos["green"]}
    expected = [("9", "green"), ("10", "blue"), ("a", "red"), ("b", "green")]
    for names in (list(sent), list(reversed(sent))):
        _, content = ask_grpc(worker, {name: sent[name] for name in names})
        assert labels_by_name(content) == expected


def test_results_of_a_form_name_their_fields_in_its_order(worker, photos) -> None:
    _, content = ask_form(worker, {"b": photos["red"], "a": photos["green"]}, {})
    assert labels_by_name(content) == [("b", "red"), ("a", "green")]


def test_a_rejected_image_is_named_too(worker, photos) -> None:
    _, content = ask_form(worker, {"bad": b"no photo", "good": photos["red"]}, {})
    assert [entry["name"] for entry in content["results"]] == ["bad", "good"]
    assert content["results"][0]["error"]["code"] == "undecodable_image"


def test_text_fields_of_a_form_are_not_images(worker, photos) -> None:
    texts = {"note": "für Zoë".encode(), "data": b"x", "body": b"", "TOP_K": b"1"}
    status, content = ask_form(worker, {"photo": photos["blue"]}, texts)
    assert (status, len(content["predictions"])) == (200, 1)
    assert content["predictions"][0]["label"] == "blue"


def test_a_field_may_have_the_name_of_a_header(worker, photos) -> None:
    """TorchServe then says nothing of the field's own type."""
    item = {"accept": bytearray(b"yes"), "host": bytearray(photos["red"])}
    status, content = worker.respond_one(item, FORM | {"accept": "*/*", "host": "x"})
    assert (status, content["predictions"][0]["label"]) == (200, "red")


def test_a_form_without_a_file_says_how_to_send_one(worker) -> None:
    status, content = ask_form(worker, {}, {"image": b"photo.jpg"})
    assert (status, content["error"]["code"]) == (400, "empty_body")
    assert "'image' is text" in content["error"]["message"]
    assert "-F image=@photo.jpg" in content["error"]["message"]


def test_query_parameters_of_invocations_are_not_images(worker, photos) -> None:
    item = {"model_name": bytearray(b"colours"), "body": bytearray(photos["red"])}
    raw = {"Host": "x"} | dict.fromkeys(item, NO_TYPE)
    status, content = worker.respond_one(item, raw)
    assert (status, content["predictions"][0]["label"]) == (200, "red")


@pytest.mark.parametrize("text", [b"4711", "Zoë".encode(), b"a long text " * 1000, b"%PDF"])
def test_text_under_an_unknown_key_of_grpc_is_not_an_image(worker, photos, text: bytes) -> None:
    status, content = ask_grpc(worker, {"user": text, "photo": photos["green"]})
    assert (status, content["predictions"][0]["label"]) == (200, "green")
    status, content = ask_grpc(worker, {"user": text})
    assert (status, content["error"]["code"]) == (400, "empty_body")


@pytest.mark.parametrize("name", ["000001", "data", "body", "image"])
def test_text_under_a_key_for_images_is_one_and_is_rejected(worker, photos, name: str) -> None:
    _, content = ask_grpc(worker, {name: b"no photo", "z": photos["red"]})
    assert [entry["name"] for entry in content["results"]] == [name, "z"]
    assert content["results"][0]["error"]["code"] == "undecodable_image"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_every_binary_value_of_grpc_has_a_result(worker, photos, value: bytes) -> None:
    _, content = ask_grpc(worker, {"a": b"\xff" + value, "b": photos["red"]})
    assert [entry["name"] for entry in content["results"]] == ["a", "b"]


def test_a_name_may_not_fill_the_response(worker, photos) -> None:
    for length, status in ((MAX_NAME_LENGTH, 200), (MAX_NAME_LENGTH + 1, 400)):
        assert ask_form(worker, {"n" * length: photos["red"]}, {})[0] == status


def parameter(name: str, value: bytes) -> dict:
    return {"name": name, "value": bytearray(value), "contentType": FILE["content-type"]}


def read_batch(*forms: list[dict]) -> tuple[list[dict], list[dict]]:
    """Return the items and headers that TorchServe's service makes of what its frontend sends."""
    headers = [
        {"name": b"Content-Type", "value": b"multipart/form-data"},
        {"name": b"Host", "value": b"x"},
    ]
    batch = [{"requestId": b"1", "parameters": form, "headers": headers} for form in forms]
    processors, items, _ = Service.retrieve_data_for_inference(batch)
    return items, [processor.get_request_properties() for processor in processors]


def test_two_fields_of_one_name_are_rejected_instead_of_answered_once(worker, photos) -> None:
    red, green = parameter("a", photos["red"]), parameter("a", photos["green"])
    other, option = parameter("b", photos["blue"]), parameter("top_k", b"1")
    items, headers = read_batch([red, green], [red, other, option], [other, option, option], [red])
    responses = worker.respond(items, headers)
    assert [status for status, _, _ in responses] == [400, 200, 400, 200]
    first, second, third, _ = (json.loads(body) for _, _, body in responses)
    assert first["error"]["code"] == third["error"]["code"] == "invalid_request"
    assert "more than one field named 'a'" in first["error"]["message"]
    assert "more than one field named 'top_k'" in third["error"]["message"]
    assert labels_by_name(second) == [("a", "red"), ("b", "blue")]


def test_a_client_cannot_claim_repeated_fields(worker, photos) -> None:
    item = {"body": bytearray(photos["red"])}
    assert worker.respond_one(item, {REPEATED_INPUTS: "['body']"})[0] == 200


def test_repeated_inputs_are_recorded_once_however_often_a_model_is_loaded(worker) -> None:
    record_repeated_inputs()
    once = Service.retrieve_data_for_inference
    record_repeated_inputs()
    assert Service.retrieve_data_for_inference is once
