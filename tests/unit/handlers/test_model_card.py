"""The model card: JSON and back, and errors that name the field."""

import dataclasses
import json

import pytest

from handlers.errors import ModelCardError
from handlers.model_card import ModelCard


def test_json_and_back(card) -> None:
    assert ModelCard.from_json(card.to_json()) == card
    assert ModelCard.from_json(card.to_json().encode()) == card


def test_fields_of_a_later_version_are_ignored(card) -> None:
    assert ModelCard.from_json(json.dumps(card.to_dict() | {"new": [1, 2]})) == card


@pytest.mark.parametrize(
    "field",
    [field.name for field in dataclasses.fields(ModelCard) if field.name != "unknown"],
)
def test_a_missing_field_is_named(card, field: str) -> None:
    values = card.to_dict()
    del values[field]
    with pytest.raises(ModelCardError, match=f"lacks {field}"):
        ModelCard.from_json(json.dumps(values))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("version", 1.0),
        ("class_names", []),
        ("class_names", ["a", "a"]),
        ("class_names", "abc"),
        ("class_names", [1]),
        ("temperature", 0),
        ("temperature", True),
        ("metrics", []),
        ("precision", "int4"),
        ("quantisation", None),
        ("preprocessing", None),
        ("preprocessing", {"image_size_px": 224}),
    ],
)
def test_an_invalid_value_is_named(card, field: str, value: object) -> None:
    with pytest.raises(ModelCardError, match=field):
        ModelCard.from_json(json.dumps(card.to_dict() | {field: value}))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", b"\xff\xfe{"])
def test_text_that_is_not_a_model_card_is_refused(text: str) -> None:
    with pytest.raises(ModelCardError):
        ModelCard.from_json(text)


def test_an_infinite_temperature_is_refused(card) -> None:
    with pytest.raises(ModelCardError, match="temperature"):
        dataclasses.replace(card, temperature=float("inf"))
