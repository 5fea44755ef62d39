"""TorchServe's management API as either transport offers it, and what the two implementations share."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

READ_TIMEOUT_S = 30.0
# Loading waits for the workers: imports, weights, probes.
REGISTER_TIMEOUT_S = 180.0
PAGE_SIZE = 100
# TorchServe answers when the last worker has loaded, a few milliseconds before it describes that worker as ready.
SETTLE_TIMEOUT_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class LoadedVersion:
    """A version of a model that TorchServe has loaded."""

    version: str
    min_workers: int
    ready_pids: tuple[int, ...]
    """Process ids of the workers that can answer."""
    pending_requests: int
    """Requests in the version's queue that no worker has taken yet."""


class ManagementApi(Protocol):
    """What HttpManagement and GrpcManagement do. Each method raises RequestError if the server refuses or is gone."""

    def models(self) -> list[str]:
        """Return the names of the models that have a version loaded."""

    def versions(self, model: str) -> dict[str, LoadedVersion]:
        """Return the loaded versions of a model by number; empty if there are none."""

    def default_version(self, model: str) -> str:
        """Return the version that answers requests which name none."""

    def register(self, archive_name: str, *, workers: int) -> None:
        """Load an archive of the model store; return when all its workers are ready.

        TorchServe removes a version that fails to load.
        """

    def scale(self, model: str, version: str, *, workers: int) -> None:
        """Set a version's number of workers; return when they are ready. Scaling down kills workers."""

    def set_default(self, model: str, version: str) -> None:
        """Route requests that name no version to this one from now on."""

    def unregister(self, model: str, version: str) -> None:
        """Unload a version. TorchServe kills its workers, so its queue must be empty."""

    def close(self) -> None:
        """Close the connections."""


def read_loaded_version(description: dict[str, Any]) -> LoadedVersion:
    """Return one of the versions in TorchServe's answer to DescribeModel."""
    workers = description["workers"]
    return LoadedVersion(
        version=description["modelVersion"],
        min_workers=int(description["minWorkers"]),
        ready_pids=tuple(int(worker["pid"]) for worker in workers if worker["status"] == "READY"),
        pending_requests=int(description.get("jobQueueStatus", {}).get("pendingRequests", 0)),
    )


def wait_for_workers(management: ManagementApi, model: str, version: str) -> None:
    """Return when all workers of the version are described as ready, or after 5 s: callers check what they need."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while time.monotonic() < deadline:
        loaded = management.versions(model).get(version)
        if loaded is None or len(loaded.ready_pids) >= loaded.min_workers:
            return
        time.sleep(POLL_S)


def model_and_version(archive_name: str) -> tuple[str, str]:
    """Return both parts of NAME-VERSION.mar, the name of a file in a model store; a version holds no hyphen."""
    model, _, version = archive_name.removesuffix(".mar").rpartition("-")
    return model, version
