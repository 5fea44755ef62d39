"""The description of the inference port: docs/openapi.json is what the page serves, and valid OpenAPI 3.1."""

import json
from pathlib import Path

from starlette.testclient import TestClient

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
