"""A Ray cluster of two nodes on this machine."""

from collections.abc import Iterator

import pytest
from ray.cluster_utils import Cluster

# Ray's smallest.
OBJECT_STORE_BYTES = 80_000_000


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a cluster of a head node and a second node, a CPU each; the second may be gone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSWAP_CACHE", str(tmp_path_factory.mktemp("cache")))
        node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
        head = {**node, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            cluster.add_node(**node)
            yield cluster
        finally:
            cluster.shutdown()
