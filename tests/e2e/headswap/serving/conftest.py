"""Both engines with version 1.0, for every test of what clients get."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.headswap.engine import Engine, ray_engine, torchserve_engine


@pytest.fixture(scope="session")
def on_ray(archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with ray_engine(archives["1.0"], tmp_path_factory.mktemp("ray")) as engine:
        yield engine


@pytest.fixture(scope="session")
def on_torchserve(request: pytest.FixtureRequest) -> Engine:
    return torchserve_engine(request.getfixturevalue("steady"))


@pytest.fixture(scope="session", params=["torchserve", "ray"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(f"on_{request.param}")
    return found
