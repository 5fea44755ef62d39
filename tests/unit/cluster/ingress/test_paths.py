"""Paths of TorchServe's inference API, as TorchServe 0.12 itself answered them."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ingress.paths import Target, read_path

OWN = {"explain": "False", "url_path": ""}
SEGMENT = st.text(min_size=1, max_size=20).filter(lambda text: "/" not in text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/predictions/m", Target("m", None, OWN)),
        ("/predictions/m/", Target("m", None, OWN)),
        ("/predictions/m/2.0", Target("m", "2.0", OWN)),
        ("/predictions/m/2.0/a/b", Target("m", "2.0", OWN | {"url_path": "a/b"})),
        ("/predictions/m%2F2.0", Target("m", "2.0", OWN)),
        ("/predictions/cl%6Fth", Target("cloth", None, OWN)),
        ("/explanations/m", Target("m", None, OWN | {"explain": "True"})),
        ("/v1/models/m:predict", Target("m", None, {"explain": "False"})),
        ("/v1/models/m:explain", Target("m", None, {"explain": "True"})),
        ("/v2/models/m/infer", Target("m", None, {"explain": "False"})),
        ("/v2/models/m/explain", Target("m", None, {"explain": "True"})),
    ],
)
def test_a_path_names_a_model_and_a_task(path: str, expected: Target) -> None:
    assert read_path(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/predictions", "/predictions/", "//predictions/m", "predictions/m", "/models",
        "/v1/models/m", "/v1/models/:predict", "/v1/models/m:train", "/v2/models/m",
        "/v2/models//infer", "/v2/models/m/ready", "/v2/health/ready",
        "/v2/models/m/versions/1.0/infer", "/Predictions/m",
    ],
)  # fmt: skip
def test_other_paths_are_not_found(path: str) -> None:
    assert read_path(path) is None


@given(model=SEGMENT, version=SEGMENT)
def test_any_model_and_version_come_through_their_encoding(model: str, version: str) -> None:
    path = f"/predictions/{quote(model, safe='')}/{quote(version, safe='')}"
    target = read_path(path)
    assert target is not None
    assert (target.model, target.version) == (model, version)


@given(st.text())
def test_no_path_is_an_error(path: str) -> None:
    target = read_path(path)
    assert target is None or target.model
