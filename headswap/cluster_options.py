"""`--cluster` of the commands that change or show what is live: the cluster's session instead of the server's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import tyro

from headswap.errors import ArgumentError

if TYPE_CHECKING:
    from cluster.rollout.session import ClusterSession
    from headswap.options import ServerOptions
    from serving.rollout.session import RolloutSession

ClusterAddress = Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")]


@contextmanager
def open_rollout(server: "ServerOptions", cluster: str | None) -> Iterator["RolloutSession"]:
    """Yield the session of the cluster at that address, or without one of the server on this machine.

    Raises:
        ArgumentError: ray is not installed. ClusterError: no cluster answers there, or headswap does not serve on it.
        SettingsError: the server's configuration cannot be read.
    """
    if cluster is None:
        with server.session() as session:
            yield session
        return
    with open_cluster(cluster) as session:
        # Here the steps are logged, though no server was ever started with this folder.
        (server.state / "logs").mkdir(parents=True, exist_ok=True)
        yield session


@contextmanager
def open_cluster(address: str) -> Iterator["ClusterSession"]:
    """Yield the session of the cluster at that address. Raises ArgumentError, ClusterError as `open_rollout` does."""
    try:
        from cluster.application import connected
        from cluster.live import find_live
        from cluster.rollout.session import ClusterSession
    except ModuleNotFoundError as error:
        raise ArgumentError(
            f"--cluster needs the package {error.name!r}: pip install 'headswap[host,ray]'."
        ) from None
    with connected(address), ClusterSession(find_live()) as session:
        yield session
