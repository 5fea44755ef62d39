"""docs/openapi.json against a real server: requests made from it meet no answer outside it, and no fault of ours."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks

from page.openapi import describe
from serving.client.tokens import read_token
from serving.settings import ServerSettings

EXAMPLES = 25
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
load_all_checks()
CHECKED = CHECKS.get_by_names(
    ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)
PHOTO = min((Path(__file__).parents[4] / "sample_data/clothing/test/hat").glob("*.jpg"))
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, item in describe()["paths"].items()
    for method in item
    if method != "parameters"
]


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_answer_is_outside_the_description(steady: ServerSettings, label: str) -> None:
    content = describe(steady.inference_url, models=["clothing"])
    schema = schemathesis.openapi.from_dict(content)
    operation = next(
        each for result in schema.get_all_operations() if (each := result.ok()).label == label
    )
    token = read_token(steady.key_file, "inference")
    statuses = set()

    @SETTINGS
    @given(case=operation.as_strategy())
    def send(case: schemathesis.Case) -> None:
        response = case.call(
            base_url=steady.inference_url, headers={"Authorization": f"Bearer {token}"}
        )
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKED)
        assert response.status_code < 500 or is_late(case, response), (
            case.as_curl_command() + response.text
        )

    send()
    assert statuses


def is_late(case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """Return whether the request itself asked for an answer sooner than there can be one."""
    asked = "X-Request-Deadline-Ms" in (case.headers or {}) or "deadline_ms" in str(case.body)
    return asked and response.status_code == 504


def test_a_photo_is_answered_as_described(steady: ServerSettings) -> None:
    schema = schemathesis.openapi.from_dict(describe(steady.inference_url, models=["clothing"]))
    photo, token = PHOTO.read_bytes(), read_token(steady.key_file, "inference")
    encoded = {"b64": b64encode(photo).decode()}
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [encoded["b64"]]}
    bodies: dict[str, tuple[Any, str]] = {
        "POST /predictions/{model}": (photo, "application/octet-stream"),
        "PUT /predictions/{model}": (encoded, "application/json"),
        "POST /explanations/{model}": (photo, "application/octet-stream"),
        "POST /v1/models/{model}:predict": ({"instances": [encoded]}, "application/json"),
        "POST /v2/models/{model}/infer": ({"inputs": [tensor]}, "application/json"),
    }
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.label in bodies:
            body, media_type = bodies.pop(operation.label)
            case = operation.Case(
                path_parameters={"model": "clothing"}, body=body, media_type=media_type
            )
            response = case.call(
                base_url=steady.inference_url, headers={"Authorization": f"Bearer {token}"}
            )
            assert response.status_code == 200, response.text
            case.validate_response(response, checks=CHECKED)
    assert bodies == {}
