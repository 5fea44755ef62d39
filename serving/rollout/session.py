"""The server that a command works with, made where the command begins and passed down."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import requests

from serving.client import Client, GrpcClient, HttpClient
from serving.client.management import ManagementApi
from serving.client.sessions import session_to
from serving.errors import UnreachableError
from serving.settings import ServerSettings

METRICS_TIMEOUT_S = 5.0

Report = Callable[[str], None]
"""Takes a sentence about a step that is done."""


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
