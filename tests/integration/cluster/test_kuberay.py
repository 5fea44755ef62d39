"""What KubeRay hands to Serve: the manifest's own configuration, on a cluster, with an archive of this installation."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from cluster.defaults import INGRESS_APPLICATION, NAMESPACE
from serving.client import HttpClient
from serving.errors import UnauthorisedError
from tests.helpers import free_ports
from tests.integration.batch.conftest import photo, write_archive

MANIFEST = Path(__file__).parents[3] / "deploy" / "ray" / "rayservice.yaml"
DEADLINE_S = 180.0
TOKEN = "kept-in-a-secret"


@pytest.fixture
def configuration(tmp_path: Path) -> dict[str, Any]:
    """Return the manifest's configuration, with the token and free ports of this test."""
    configuration = yaml.safe_load(yaml.safe_load(MANIFEST.read_text())["spec"]["serveConfigV2"])
    http_port, grpc_port = free_ports(2)
    configuration["http_options"] |= {"host": "127.0.0.1", "port": http_port}
    configuration["grpc_options"]["port"] = grpc_port
    (tmp_path / "token").write_text(TOKEN)
    arguments = configuration["applications"][0]["args"]
    arguments |= {"token_file": str(tmp_path / "token"), "replicas_min": 1}
    return configuration


@pytest.fixture
def connected(cluster: Cluster, configuration: dict[str, Any]) -> Iterator[None]:
    """Do what KubeRay's request to the dashboard does first: start Serve with the options of the configuration."""
    ray.init(
        address=cluster.address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False
    )
    serve.start(
        proxy_location="HeadOnly",
        http_options=configuration["http_options"],
        grpc_options=configuration["grpc_options"],
    )
    yield
    serve.shutdown()
    ray.shutdown()


def deploy(configuration: dict[str, Any]) -> None:
    """Return once the application runs as configured."""
    client = _get_global_client()
    client.deploy_apps(ServeDeploySchema.model_validate(configuration), _blocking=False)
    deadline = time.monotonic() + DEADLINE_S
    while (application := serve.status().applications[INGRESS_APPLICATION]).status != "RUNNING":
        assert application.status not in ("DEPLOY_FAILED", "UNHEALTHY"), application.message
        assert time.monotonic() < deadline, application
        time.sleep(0.2)


@pytest.mark.usefixtures("connected")
def test_the_manifest_serves_and_a_change_of_it_keeps_what_is_live(
    configuration: dict[str, Any], tmp_path: Path
) -> None:
    arguments = configuration["applications"][0]["args"]
    arguments["archives"] = [str(write_archive(tmp_path / "colours-1.0.mar"))]
    deploy(configuration)
    address = f"http://127.0.0.1:{configuration['http_options']['port']}"
    with HttpClient.to(address, token=TOKEN) as client:
        assert client.predict("colours", photo((220, 30, 30))).top.label == "red"
    with HttpClient.to(address, token="wrong") as client, pytest.raises(UnauthorisedError):
        client.predict("colours", photo((220, 30, 30)))
    # Another archive in the manifest is what a new cluster begins with; this one has promoted its own.
    arguments["archives"] = [str(write_archive(tmp_path / "colours-2.0.mar", version="2.0"))]
    deploy(configuration)
    with HttpClient.to(address, token=TOKEN) as client:
        assert client.predict("colours", photo((220, 30, 30))).version == "1.0"
