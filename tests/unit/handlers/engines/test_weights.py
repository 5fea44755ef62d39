"""Our reader reads what the safetensors library writes, and refuses everything else."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from handlers.engines.weights import read_weights
from handlers.errors import WeightsError

TENSORS = {
    "float": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "half": np.linspace(-1, 1, 5, dtype=np.float16),
    "scalar": np.array(7),
    "empty": np.zeros((0, 3)),
    "bool": np.array([True, False, True]),
    "byte": np.arange(5, dtype=np.uint8),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(TENSORS, path, metadata={"from": "a test"})
    return path


def test_files_of_the_library_are_read(path) -> None:
    weights = read_weights(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert weights.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert weights[name].dtype == tensor.dtype
        np.testing.assert_array_equal(weights[name], tensor)


def test_a_file_with_another_sha256_is_refused(path) -> None:
    with pytest.raises(WeightsError, match="sha256"):
        read_weights(path, sha256="0" * 64)


def test_a_missing_file_is_an_error_of_ours(tmp_path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(tmp_path / "none.safetensors")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=200))
def test_arbitrary_bytes_are_refused(tmp_path, data: bytes) -> None:
    path = tmp_path / "any.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError):
        read_weights(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 80]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]},
        {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "x", "data_offsets": [0, 8]},
        {"shape": [2]},
        [],
    ],
)
def test_an_inconsistent_header_is_refused(tmp_path, entry: object) -> None:
    header = json.dumps({"a": entry}).encode()
    path = tmp_path / "lying.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        read_weights(path)
