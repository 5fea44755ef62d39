"""What can be asked of TorchServe's management, over either transport."""

from typing import Protocol

from serving.client.management import Loaded


class ManagementApi(Protocol):
    """Each raises RequestError when the server does not answer or refuses."""

    def models(self) -> list[str]:
        """Return the names of the models that have a version loaded."""

    def versions(self, model: str) -> dict[str, Loaded]:
        """Return the loaded versions of a model by number; empty when there is none."""

    def default_version(self, model: str) -> str:
        """Return the version requests without a version go to."""

    def register(self, archive_name: str, *, workers: int) -> None:
        """Load an archive of the model store and return when all its workers are ready."""

    def scale(self, model: str, version: str, *, workers: int) -> None:
        """Give a version this many workers and return when they are ready. Fewer than it has kills workers."""

    def set_default(self, model: str, version: str) -> None:
        """Send requests without a version to this one from now on."""

    def unregister(self, model: str, version: str) -> None:
        """Unload a version. TorchServe kills its workers: nothing may be queued there."""

    def close(self) -> None:
        """Close the connections."""
