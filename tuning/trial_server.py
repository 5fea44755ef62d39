"""A TorchServe of its own on free loopback ports, with one configuration of one archive loaded at a time."""

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import quote

from serving.archive.reader import Archive
from serving.archive.repack import read_model_config, repack
from serving.client.endpoint import http_endpoint
from serving.errors import ServingError
from serving.loadtest.http_target import HttpTarget
from serving.rollout.startup import choose_live
from serving.rollout.trust import Trust
from serving.server.ports import on_free_ports
from serving.server.server import Server
from serving.settings import ServerSettings
from tuning.memory import host_memory_mb
from tuning.serving_config import ServingConfig

# More than ever wait, so that no request is rejected, however short the user's own queue is.
QUEUE_SIZE = 10_000
# The archive was checked before its configuration was replaced.
TRUSTED = Trust(allow_custom_handler=True)


class TrialServer:
    """A context manager that leaves neither processes nor files behind."""

    def __init__(self, archive: Archive, settings: ServerSettings) -> None:
        self._archive = archive
        self._base = read_model_config(archive.path)
        self._user_settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="headswap-tune-")
        self._server: Server | None = None
        self._loaded: ServingConfig | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._folder.cleanup()

    def load(self, config: ServingConfig) -> None:
        """Serve the archive with this configuration alone; return when its workers are ready.

        Raises:
            ServingError: it cannot be served like that; the next configuration may be tried.
        """
        if self._server is not None and self._server.exit_code() is not None:
            self._stop()
        if self._server is None:
            self._start(config)
        elif config != self._loaded:
            self._loaded = None
            self._replace(self._server, config)
        self._loaded = config

    def target(self) -> HttpTarget:
        """Return where the archive takes requests, with a token that is valid now."""
        endpoint = http_endpoint(self._running.settings, "inference")
        return HttpTarget(
            url=f"{endpoint.address}/predictions/{quote(self._archive.name, safe='')}",
            token=endpoint.token.read() if endpoint.token else None,
        )

    def memory_mb(self) -> float:
        """Return the memory that Java and its workers take now."""
        return host_memory_mb(self.pid)

    @property
    def pid(self) -> int:
        """Return the process id of Java; the workers are its children."""
        return self._running.pid

    @property
    def _running(self) -> Server:
        assert self._server is not None, "no configuration is loaded"
        return self._server

    def _start(self, config: ServingConfig) -> None:
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        settings = trial_settings(self._user_settings, folder)
        settings.model_store.mkdir()
        choose_live(settings.model_store, [self._pack(config, settings).path], trust=TRUSTED)
        server = Server(settings)
        try:
            server.start()
            self._server = server
            server.wait_ready()
        except BaseException:
            self._stop()
            raise

    def _replace(self, server: Server, config: ServingConfig) -> None:
        name, version = self._archive.name, self._archive.version
        management = server.session.management
        if version in management.versions(name):
            management.unregister(name, version)
        packed = self._pack(config, server.settings)
        management.register(packed.path.name, workers=config.workers)

    def _pack(self, config: ServingConfig, settings: ServerSettings) -> Archive:
        target = settings.model_store / self._archive.file_name
        return repack(self._archive, config.to_model_config(self._base), target)

    def _stop(self) -> None:
        if self._server is not None:
            with contextlib.suppress(ServingError):
                self._server.stop()
            self._server, self._loaded = None, None


def trial_settings(settings: ServerSettings, folder: Path) -> ServerSettings:
    """Return the user's settings with a store, a state folder and loopback ports of their own, without TLS."""
    properties = on_free_ports(settings.properties) | {"job_queue_size": str(QUEUE_SIZE)}
    # The number of workers is what is tuned.
    properties.pop("default_workers_per_model", None)
    return replace(
        settings,
        model_store=folder / "store",
        state=folder / "state",
        properties=properties,
        listen=None,
    )
