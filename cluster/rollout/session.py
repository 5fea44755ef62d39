"""The cluster that a command works with: what serving/rollout calls a RolloutSession, by actors instead of HTTP."""

from collections.abc import Mapping, Sequence
from typing import Self

from cluster.live import LiveActor
from cluster.rollout.management import ClusterManagement
from cluster.rollout.store import ClusterStore
from cluster.rollout.transport import RouterTransport
from serving.client import Client
from serving.errors import DeadlineError, PromotionError
from serving.rollout.metrics_page import Counts
from serving.rollout.session import Report


class ClusterSession:
    """A context manager; its client is opened by its first use."""

    # Ignored by the cluster, whose models have their own numbers of replicas.
    worker_count = 1

    def __init__(self, live: LiveActor) -> None:
        self.live = live
        self.store = ClusterStore(live)
        self.management = ClusterManagement(live)
        self._client: Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the client's router; the next use starts a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def http(self) -> Client:
        """Return the client by which probes and photos reach the replicas, past the proxies."""
        if self._client is None:
            self._client = Client(RouterTransport(), connect_management=lambda: self.management)
            # No client sent the probes and test photos.
            self._client.allows_capture = False
        return self._client

    @property
    def clients(self) -> Sequence[Client]:
        """Return the one client: over HTTP and over gRPC, replicas get the same message."""
        return (self.http,)

    def unload(self, model: str, version: str, *, report: Report) -> None:
        """Unload a version, once all it has accepted is answered. Raises PromotionError: it stays loaded."""
        pointer = self.live.pointer().models.get(model)
        if pointer is None or version not in pointer.loaded:
            return
        try:
            self.management.unregister(model, version)
        except DeadlineError as error:
            raise PromotionError(str(error)) from None
        report(f"{model} {version} is unloaded")

    def read_counts(self) -> Mapping[tuple[str, str], Counts]:
        """Return what the routers have counted by model and version; durations are with the time in the queue."""
        return self.live.totals()[0]
