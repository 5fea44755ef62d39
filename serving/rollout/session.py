"""The server that a command works with, made where the command begins and passed down."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self

import requests

from serving.client import Client, GrpcClient, HttpClient
from serving.client.management import ManagementApi
from serving.client.sessions import session_to
from serving.errors import UnreachableError
from serving.rollout import drain
from serving.rollout.metrics_page import Counts, parse_counts
from serving.rollout.store import FolderStore, Store
from serving.settings import ServerSettings

METRICS_TIMEOUT_S = 5.0

Report = Callable[[str], None]
"""Takes a sentence about a step that is done."""


class RolloutSession(Protocol):
    """What promotions, rollbacks, retirements and status work with: TorchServe on this machine, or a cluster."""

    @property
    def store(self) -> Store:
        """Return where the archives and the live record are."""

    @property
    def http(self) -> Client:
        """Return the client that checks probes and photos; its `management` is for reading alone."""

    @property
    def clients(self) -> Sequence[Client]:
        """Return a client per transport, for the probes over each."""

    @property
    def management(self) -> ManagementApi:
        """Return what loads versions and switches between them."""

    @property
    def worker_count(self) -> int:
        """Return how many workers a version is loaded with."""

    def unload(self, model: str, version: str, *, report: Report) -> None:
        """Unload a version that is not live, once all it has accepted is answered; do nothing if it is not loaded.

        Raises:
            PromotionError: it cannot be unloaded now and serves on. RequestError: the server does not answer.
        """

    def read_counts(self) -> Mapping[tuple[str, str], Counts]:
        """Return what was counted by model and version; versions without requests are missing."""


class ServerSession:
    """The settings of a server on this machine, and one client per transport that all steps of a command share.

    A context manager. A client is opened by its first use, so that a command that never speaks gRPC need not import
    it, and closed on leaving. Tests pass clients of their own.
    """

    def __init__(
        self, settings: ServerSettings, *, http: Client | None = None, grpc: Client | None = None
    ) -> None:
        self.settings = settings
        self._http, self._grpc = http, grpc
        self._metrics: requests.Session | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        for opened in (self._http, self._grpc, self._metrics):
            if opened is not None:
                opened.close()
        self._http, self._grpc, self._metrics = None, None, None

    @property
    def http(self) -> Client:
        """Return the client over HTTP; its `management` is for reading alone."""
        if self._http is None:
            self._http = HttpClient(self.settings)
            # No client sent the probes and test photos.
            self._http.allows_capture = False
        return self._http

    @property
    def grpc(self) -> Client:
        """Return the client over gRPC."""
        if self._grpc is None:
            self._grpc = GrpcClient(self.settings)
            self._grpc.allows_capture = False
        return self._grpc

    @property
    def management(self) -> ManagementApi:
        """Return the management API over gRPC.

        Over HTTP, loading a version blocks one of Netty's few threads, and every client connected to that thread waits
        until it is loaded (seen: 4 of 8 connections, 11.7 s). gRPC has threads of its own.
        """
        return self.grpc.management

    @property
    def clients(self) -> Sequence[Client]:
        """Return the clients over HTTP and gRPC."""
        return self.http, self.grpc

    @property
    def store(self) -> FolderStore:
        """Return the model store."""
        return FolderStore(self.settings.model_store)

    @property
    def worker_count(self) -> int:
        """Return how many workers a version is loaded with. Raises SettingsError as `count_workers` does."""
        return self.settings.worker_count

    def unload(self, model: str, version: str, *, report: Report) -> None:
        """Drain the version and unload it. Raises PromotionError, RequestError as `drain.unload` does."""
        drain.unload(self, model, version, report=report)

    def read_counts(self) -> Mapping[tuple[str, str], Counts]:
        """Return the handler's counters by model and version.

        They are all missing where the metrics address is off: what needs them has other signs of a fault too.
        """
        try:
            return parse_counts(self.read_metrics())
        except UnreachableError:
            return {}

    def read_metrics(self) -> str:
        """Return the page of the metrics address, in Prometheus' text format. Raises UnreachableError."""
        if self._metrics is None:
            self._metrics = session_to(self.settings.metrics_url)
        url = f"{self.settings.metrics_url}/metrics"
        try:
            response = self._metrics.get(url, timeout=METRICS_TIMEOUT_S)
            response.raise_for_status()
        except requests.RequestException as error:
            raise UnreachableError(f"{url} does not answer ({type(error).__name__}).") from None
        return response.text
