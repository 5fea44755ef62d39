"""deploy/ray: what KubeRay hands to Ray Serve, and what the pods must agree on."""

from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster import defaults
from cluster.application import GRPC_SERVICER
from cluster.kuberay import Arguments
from cluster.ray_environment import PROCESSES

DEPLOY = Path(__file__).parents[3] / "deploy"
MANIFEST = yaml.safe_load((DEPLOY / "ray" / "rayservice.yaml").read_text())
CLUSTER = MANIFEST["spec"]["rayClusterConfig"]
SERVE = yaml.safe_load(MANIFEST["spec"]["serveConfigV2"])
HEAD = CLUSTER["headGroupSpec"]["template"]["spec"]
(WORKER,) = (group["template"]["spec"] for group in CLUSTER["workerGroupSpecs"])


def ports_of(pod):
    return {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}


def test_serve_accepts_the_configuration():
    parsed = ServeDeploySchema.model_validate(SERVE)
    (application,) = parsed.applications
    assert application.name == defaults.INGRESS_APPLICATION
    assert application.import_path == "cluster.kuberay:build"
    Arguments.model_validate(application.args)


def test_it_listens_as_cluster_serve_does():
    assert SERVE["http_options"]["port"] == ports_of(WORKER)["serve"] == defaults.HTTP_PORT
    assert SERVE["grpc_options"]["port"] == ports_of(WORKER)["grpc"] == defaults.GRPC_PORT
    assert SERVE["grpc_options"]["grpc_servicer_functions"] == [GRPC_SERVICER]
    assert SERVE["http_options"]["keep_alive_timeout_s"] == defaults.KEEP_ALIVE_S


def test_the_ray_of_the_manifest_is_the_one_that_is_tested():
    constraints = (DEPLOY.parent / "constraints.txt").read_text().splitlines()
    assert f"ray=={CLUSTER['rayVersion']}" in constraints


@pytest.mark.parametrize("pod", [HEAD, WORKER], ids=["head", "worker"])
def test_every_pod_has_what_the_versions_need(pod):
    (container,) = pod["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    # Kubernetes hands out files of a memory or disk volume; what is not mounted is read-only.
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    arguments = Arguments.model_validate(SERVE["applications"][0]["args"])
    assert str(arguments.token_file.parent) in mounts
    assert {str(path.parent) for path in arguments.archives} <= mounts
    assert environment["HEADSWAP_CACHE"] in mounts
    assert environment.items() >= PROCESSES.items()
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_a_worker_has_a_core_for_each_replica_that_may_run_there():
    cores = int(WORKER["containers"][0]["resources"]["limits"]["cpu"])
    nodes = CLUSTER["workerGroupSpecs"][0]["maxReplicas"]
    assert SERVE["applications"][0]["args"]["replicas_max"] == cores * nodes


def test_workers_finish_their_requests():
    waits_s = WORKER["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed_s = waits_s + defaults.REQUEST_TIMEOUT_S
    assert WORKER["terminationGracePeriodSeconds"] >= needed_s
