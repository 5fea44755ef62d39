"""An archive that MNN serves, on a real server: the probabilities of the evaluation, also in mixed batches."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handlers.settings import FRONTEND_DEFAULTS
from serving.archive.handler_code import find_foreign_code
from serving.archive.reader import Archive, open_packed, read_archive
from serving.client import GrpcClient, HttpClient, Prediction
from serving.rollout.readiness import check_probes
from serving.settings import ServerSettings
from tests.e2e.headswap.helpers import (
    evaluated_probabilities,
    probabilities_of,
    served_probabilities,
)

VERSION = "9.0"
# Loading fails if another engine would serve.
CONFIG = {**FRONTEND_DEFAULTS, "handler": {"engine": "mnn"}}


@pytest.fixture(scope="module")
def mnn(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Archive:
    from training.export.archive import export_archive

    path = export_archive(
        runs["1.0"], name="clothing", version=VERSION, model_store=tmp_path_factory.mktemp("mnn"),
        model_config=CONFIG, cpu_engine="mnn",
    )  # fmt: skip
    return read_archive(path)


def test_its_files_are_not_foreign_code(mnn: Archive) -> None:
    with open_packed(mnn.path) as packed:
        assert "model.mnn" in packed.namelist()
    assert find_foreign_code(mnn.path) is None


def test_served_probabilities_are_those_of_the_evaluation_also_beside_a_bad_photo(
    mnn: Archive,
    load_beside: Callable[[Archive], Archive],
    steady: ServerSettings,
    runs: dict[str, Path],
) -> None:
    served = load_beside(mnn)
    evaluated = json.loads((runs["1.0"] / "evaluation.json").read_text())["photos"][::12]
    photos = [Path(photo["path"]).read_bytes() for photo in evaluated]
    with HttpClient(steady) as http, GrpcClient(steady) as grpc:
        rows = []
        for client in (http, grpc):
            assert check_probes(client, served, version=VERSION) < 1e-4
            rows.append(served_probabilities(client, VERSION, photos))
        np.testing.assert_array_equal(rows[0], rows[1])
        expected = [evaluated_probabilities(photo) for photo in evaluated]
        np.testing.assert_allclose(rows[0], expected, atol=1e-4)
        mixed = [*photos[:2], b"not an image", *photos[2:]]
        outcomes = http.predict("clothing", mixed, top_k=5, version=VERSION)
    assert not isinstance(outcomes.pop(2), Prediction)
    np.testing.assert_array_equal([probabilities_of(outcome) for outcome in outcomes], rows[0])
