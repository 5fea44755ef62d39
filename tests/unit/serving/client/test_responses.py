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
