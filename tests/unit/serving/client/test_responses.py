"""Whatever bytes a server sends, the client returns a result or raises a RequestError."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.client.responses import (
    parse_error,
    parse_explanation,
    parse_outcomes,
    parse_png,
    parse_prediction,
)
from serving.errors import InternalServerError, RequestError


@given(st.binary(max_size=60))
def test_any_bytes_are_a_result_or_a_request_error(body):
    for parse in (
        parse_prediction,
        parse_explanation,
        lambda content: parse_outcomes(content, names=["0"]),
    ):
        with pytest.raises(RequestError):
            parse(body)
    with contextlib.suppress(RequestError):
        assert parse_png(body).startswith(b"\x89PNG")
    assert isinstance(parse_error(body, status=500), InternalServerError)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "predictions", "results", "error", "explanation", "heat_map", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_a_result_or_a_request_error(value):
    body = json.dumps(value).encode()
    for parse in (
        parse_prediction,
        parse_explanation,
        lambda content: parse_outcomes(content, names=["0"]),
    ):
        with pytest.raises(RequestError):
            parse(body)
    assert isinstance(parse_error(body, status=404), RequestError)


MODEL = {"name": "clothing", "version": "1.1"}
SCORES = [{"label": "shoes", "index": 3, "probability": 0.97}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"outcome": "unknown", "unknown_score": 3.1}, ("unknown", 3.1)),
        ({"outcome": "uncertain"}, ("uncertain", None)),
        # A server of an earlier version, or an archive without a score.
        ({}, (None, None)),
    ],
)
def test_the_outcome_and_the_unknown_score_are_read(fields: dict, expected: tuple) -> None:
    body = {"model": MODEL, "predictions": SCORES} | fields
    prediction = parse_prediction(json.dumps(body).encode())
    assert (prediction.outcome, prediction.unknown_score) == expected
    assert prediction.top.label == "shoes"
    several = {"model": MODEL, "results": [{"name": "000000", "predictions": SCORES} | fields]}
    (prediction,) = parse_outcomes(json.dumps(several).encode(), names=["a"])
    assert (prediction.name, prediction.outcome, prediction.unknown_score) == ("a", *expected)
