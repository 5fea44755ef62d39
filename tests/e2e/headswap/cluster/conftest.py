"""A Ray cluster of two nodes on this machine, with version 1.0 of clothing on both."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray._private.ray_constants import PROCESS_TYPE_RAYLET
from ray.cluster_utils import Cluster

from cluster.application import ApplicationOptions, connected, start
from cluster.deployment import VersionOptions
from cluster.live import find_live
from cluster.ray_environment import PROCESSES
from cluster.rollout.session import ClusterSession
from serving.archive.reader import read_archive
from serving.client import HttpClient
from tests.helpers import free_ports

# Ray takes a third of the memory by default.
OBJECT_STORE_BYTES = 100 << 20
REPLICAS = 2


@dataclass(kw_only=True)
class LocalCluster:
    ray: Cluster
    worker: Any
    """The node that is not the head."""
    http_port: int
    session: ClusterSession

    def connect(self) -> HttpClient:
        """Return a client of the proxies, to be closed."""
        return HttpClient.to(f"http://127.0.0.1:{self.http_port}")

    def replicas_on(self, node: Any, version: str) -> int:
        """Return how many processes of a node serve the version."""
        (raylet,) = node.all_processes[PROCESS_TYPE_RAYLET]
        titles = []
        for process in psutil.Process(raylet.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                titles.append(" ".join(process.cmdline()))
        return sum(f"ServeReplica:headswap-clothing@{version}" in title for title in titles)


@pytest.fixture(scope="module")
def cluster(
    archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalCluster]:
    """Yield the cluster; this process is connected to it. It ends before other modules want the cores."""
    http_port, grpc_port = free_ports(2)
    options = ApplicationOptions(
        http_port=http_port,
        grpc_port=grpc_port,
        version=VersionOptions(replicas_min=REPLICAS, replicas_max=REPLICAS),
    )
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        # The nodes' processes have it from here.
        patch.setenv("HEADSWAP_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name, value in PROCESSES.items():
            patch.setenv(name, value)
        # Whatever token for Ray this user has.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        node: dict[str, Any] = {"object_store_memory": OBJECT_STORE_BYTES, "num_cpus": 2}
        ray = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        stack.callback(ray.shutdown)
        # Before there is another node: a driver cannot remove the one that it is connected to.
        stack.enter_context(connected(ray.address))
        worker = ray.add_node(**node)
        start([read_archive(archives["1.0"])], options, report=lambda _: None)
        session = stack.enter_context(ClusterSession(find_live()))
        yield LocalCluster(ray=ray, worker=worker, http_port=http_port, session=session)
