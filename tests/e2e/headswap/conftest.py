"""Two small versions of one model, trained once, and servers on free ports with folders of their own."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.settings import FRONTEND_DEFAULTS
from serving.archive.reader import Archive
from serving.client.http_management import HttpManagement
from serving.rollout.live_record import Deployment, read_record, write_record
from serving.rollout.promotion import promote
from serving.rollout.session import ServerSession
from serving.rollout.startup import choose_live
from serving.rollout.store import install
from serving.server.server import Server
from serving.settings import ServerSettings, load_settings
from tests.helpers import free_ports

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "sample_data" / "clothing"
DEFAULT_PORTS = (8080, 8081, 8082, 7070, 7071)


def write_config(path: Path) -> Path:
    """Write the project's own config.properties with free ports in place of its own."""
    text = (ROOT / "config.properties").read_text()
    for default, port in zip(DEFAULT_PORTS, free_ports(len(DEFAULT_PORTS)), strict=True):
        text = text.replace(str(default), str(port))
    path.write_text(text.replace("serving/metrics.yaml", str(ROOT / "serving" / "metrics.yaml")))
    return path


@pytest.fixture(scope="session")
def config_writer() -> Callable[[Path], Path]:
    return write_config


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a trained and evaluated run per version."""
    from training.config import quick
    from training.evaluation.evaluation import evaluate
    from training.fit.trainer import train

    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for version, seed in (("1.0", 0), ("2.0", 1)):
        config = replace(
            quick(), data=SAMPLE, out=folder / version, weights="embedded", architecture="resnet18",
            freeze="backbone", head_epochs=6, image_size_px=96, seed=seed,
        )  # fmt: skip
        made[version] = train(config)
        evaluate(made[version])
    return made


@pytest.fixture(scope="session")
def archives(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from training.export.archive import export_archive

    store = tmp_path_factory.mktemp("exported")
    # Above the default of one, so that requests of several clients meet in a batch.
    batches = {**FRONTEND_DEFAULTS, "batchSize": 4}
    return {
        version: export_archive(
            run, name="clothing", version=version, model_store=store, model_config=batches
        )
        for version, run in runs.items()
    }


@pytest.fixture(scope="session")
def photos() -> list[bytes]:
    return [path.read_bytes() for path in sorted((SAMPLE / "test").glob("*/*.jpg"))[::8]]


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return load_settings(
        config=write_config(tmp_path / "config.properties"),
        model_store=tmp_path / "store",
        state=tmp_path / "state",
    )


def serve_first(archives: dict[str, Path], folder: Path) -> Iterator[ServerSettings]:
    settings = load_settings(
        config=write_config(folder / "config.properties"),
        model_store=folder / "store",
        state=folder / "state",
    )
    choose_live(settings.model_store, [archives["1.0"]])
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        yield settings


@pytest.fixture(scope="session")
def swapping(
    archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerSettings]:
    """Yield the settings of one server for all tests that change what is live."""
    yield from serve_first(archives, tmp_path_factory.mktemp("swapping"))


@pytest.fixture(scope="module")
def served(swapping: ServerSettings, archives: dict[str, Path]) -> ServerSettings:
    """Return the settings of a server with version 1.0 and no other, for the module to change."""
    with ServerSession(swapping) as session:
        serve_only_first(session, archives)
    return swapping


def serve_only_first(session: ServerSession, archives: dict[str, Path]) -> None:
    """Make 1.0 live again, and unload and delete what another module has left."""
    model_store = session.settings.model_store
    if read_record(model_store)["clothing"].live.version != "1.0":
        promote(session, archives["1.0"], report=lambda _: None)
    for version in session.management.versions("clothing"):
        if version != "1.0":
            session.management.unregister("clothing", version)
    for path in model_store.glob("*.mar"):
        if path.name != "clothing-1.0.mar":
            path.unlink()
    live = read_record(model_store)["clothing"].live
    write_record(model_store, {"clothing": Deployment(live=live)})


@pytest.fixture
def session(served: ServerSettings) -> Iterator[ServerSession]:
    """Yield a session with the module's server."""
    with ServerSession(served) as session:
        yield session


@pytest.fixture(scope="session")
def steady(
    archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerSettings]:
    """Yield the settings of one server for all tests that leave version 1.0 live, as they found it."""
    yield from serve_first(archives, tmp_path_factory.mktemp("steady"))


@pytest.fixture
def load_beside(steady: ServerSettings) -> Iterator[Callable[[Archive], Archive]]:
    """Yield a function that loads an archive next to the live version; unload them all at the end."""
    management = HttpManagement(steady)
    loaded: list[Archive] = []

    def load(archive: Archive) -> Archive:
        installed = install(archive, steady.model_store)
        loaded.append(installed)
        management.register(installed.path.name, workers=1)
        return installed

    yield load
    for archive in loaded:
        management.unregister(archive.name, archive.version)
        archive.path.unlink()
