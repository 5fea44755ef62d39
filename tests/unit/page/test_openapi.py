"""The description of the inference port: docs/openapi.json is what the page serves, and valid OpenAPI 3.1."""

import json
from pathlib import Path
from typing import get_args

import pytest
from starlette.testclient import TestClient

from handlers.answer import Outcome
from handlers.api.options import read_options
from page.openapi import describe

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_document_is_the_description() -> None:
    """`.venv/bin/python -m page.openapi` writes it again."""
    assert json.loads(DOCUMENT.read_text()) == describe()


def test_the_page_describes_its_own_server(manager: TestClient) -> None:
    described = manager.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    assert described["servers"] == [{"url": "http://127.0.0.1:8080"}]
    model = described["paths"]["/predictions/{model}"]["parameters"][0]
    assert model["schema"]["enum"] == ["tiny"]


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(describe())
    schemas = describe()["components"]["schemas"]
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(schemas)
    assert set(schemas) <= names | {"Answer", "KServeAnswer", "InferAnswer", "Explanation", "Error"}


def test_every_prediction_may_have_an_outcome_and_its_score() -> None:
    schemas = describe()["components"]["schemas"]
    for answer in (schemas["OneAnswer"], schemas["Result"]["oneOf"][0]):
        fields = answer["properties"]
        assert set(fields["outcome"]["enum"]) == set(get_args(Outcome))
        assert fields["unknown_score"]["type"] == "number"
        assert not {"outcome", "unknown_score"} & set(answer["required"])


@pytest.mark.parametrize(
    "path",
    [
        "/predictions/{model}",
        "/predictions/{model}/{version}",
        "/v1/models/{model}:predict",
        "/v2/models/{model}/infer",
    ],
)
def test_the_outcome_can_be_turned_off_by_each_value_described(path: str) -> None:
    headers = {entry["name"]: entry for entry in describe()["paths"][path]["parameters"]}
    wanted = [
        read_options({"x-unknown": value}, {}).wants_outcome
        for value in headers["X-Unknown"]["schema"]["enum"]
    ]
    assert wanted == [True, False, True, False]
