"""Every manifest against the schema of its reader, and the promises that no schema knows."""

import copy
import json
import shlex
from functools import partial
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from referencing import Registry, Resource

from handlers import cgroup
from handlers.settings import HandlerSettings
from headswap import cli
from headswap.commands import find_command
from serving.server.memory import LoadedWorkers, find_shortage
from serving.workers import count_workers
from tests.cgroups import write_v2

DEPLOY = Path(__file__).parents[3] / "deploy"
KUBERNETES_VERSION = "1.37.0"
OWN_SCHEMAS = {
    "ServingRuntime": "serving-runtime",
    "InferenceService": "inference-service",
    "TrainJob": "train-job",
    "TrainingRuntime": "training-runtime",
    "ServiceMonitor": "service-monitor",
    "RayService": "ray-service",
}
# Read by kustomize and by Helm, not by a cluster.
NOT_FOR_A_CLUSTER = {"Kustomization", "Component"}


def documents(*folders):
    for folder in folders:
        for path in sorted((DEPLOY / folder).rglob("*.yaml")):
            for document in yaml.safe_load_all(path.read_text()):
                if document["kind"] not in NOT_FOR_A_CLUSTER:
                    name = f"{path.relative_to(DEPLOY)}:{document['kind']}"
                    yield pytest.param(document, id=name)


def is_patch(document):
    # A patch says only what differs: kustomize's output is checked whole in tests/integration.
    return document["kind"] == "Deployment" and "selector" not in document["spec"]


@pytest.fixture(scope="module")
def registry():
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    strict = folder / f"v{KUBERNETES_VERSION}-local-strict"

    def retrieve(uri):
        return Resource.from_contents(json.loads((strict / uri.rsplit("/", 1)[1]).read_text()))

    return Registry(retrieve=retrieve)


def own_validator(kind, registry):
    schema = json.loads((DEPLOY / "schemas" / f"{OWN_SCHEMAS[kind]}.json").read_text())
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return jsonschema.Draft202012Validator(schema, registry=registry)


def check(document, registry):
    if document["kind"] in OWN_SCHEMAS:
        own_validator(document["kind"], registry).validate(document)
    else:
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)


@pytest.mark.parametrize("document", list(documents("kubernetes", "kserve", "training", "ray")))
def test_the_schema_accepts_the_manifest(document, registry):
    if is_patch(document):
        document = copy.deepcopy(document)
        document["spec"]["selector"] = {"matchLabels": {}}
    check(document, registry)


@pytest.mark.parametrize(
    "document",
    [
        each
        for each in documents("kserve", "training", "ray")
        if each.values[0]["kind"] in OWN_SCHEMAS
    ],
)
def test_the_schema_refuses_a_misspelt_key(document, registry):
    misspelt = copy.deepcopy(document)
    misspelt["spec"]["replicaas"] = 1
    with pytest.raises(jsonschema.ValidationError, match="replicaas"):
        check(misspelt, registry)


def test_the_schema_reaches_into_kubernetes_own_types(registry):
    runtime = yaml.safe_load_all((DEPLOY / "kserve" / "serving-runtime.yaml").read_text())
    broken = next(runtime)
    broken["spec"]["containers"][0]["securityContext"]["privilegd"] = True
    with pytest.raises(jsonschema.ValidationError, match="privilegd"):
        check(broken, registry)


def deployment():
    return yaml.safe_load((DEPLOY / "kubernetes" / "base" / "deployment.yaml").read_text())


def pod_containers():
    pod = deployment()["spec"]["template"]["spec"]
    return pytest.mark.parametrize("container", pod["containers"], ids=lambda each: each["name"])


@pod_containers()
def test_a_container_meets_the_restricted_pod_standard(container):
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    pod_context = deployment()["spec"]["template"]["spec"]["securityContext"]
    assert pod_context["runAsNonRoot"] is True
    assert pod_context["runAsUser"] > 0
    assert pod_context["seccompProfile"] == {"type": "RuntimeDefault"}


@pod_containers()
def test_every_mount_has_its_volume(container):
    volumes = {each["name"] for each in deployment()["spec"]["template"]["spec"]["volumes"]}
    assert {each["name"] for each in container["volumeMounts"]} <= volumes


def test_the_drain_fits_into_the_grace_period():
    pod = deployment()["spec"]["template"]["spec"]
    by_name = {each["name"]: each for each in pod["containers"]}
    server_pause_s = by_name["headswap"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    gateway_pause_s = by_name["gateway"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    longest_drain_s = 30
    assert (
        server_pause_s + longest_drain_s <= gateway_pause_s < pod["terminationGracePeriodSeconds"]
    )


def test_the_management_port_is_nowhere_but_on_the_loopback():
    for folder in ("kubernetes", "kserve"):
        for path in (DEPLOY / folder).rglob("*.yaml"):
            text = path.read_text()
            assert "containerPort: 8081" not in text
            assert "containerPort: 7071" not in text
    settings = pod_settings()
    assert settings["management_address"] == "http://127.0.0.1:8081"
    assert settings["grpc_management_address"] == "127.0.0.1"
    assert settings["inference_address"] == "http://127.0.0.1:8080"
    assert settings["grpc_inference_address"] == "127.0.0.1"


def pod_settings():
    return properties((DEPLOY / "kubernetes" / "base" / "config.properties").read_text())


def properties(text):
    lines = (line.strip() for line in text.splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_kserve_has_the_pods_settings_but_for_who_may_ask():
    _, config = yaml.safe_load_all((DEPLOY / "kserve" / "serving-runtime.yaml").read_text())
    kserve = properties(config["data"]["config.properties"])
    differing = {key for key, value in kserve.items() if pod_settings().get(key) != value}
    assert differing == {"inference_address"}


def test_the_gateway_lets_in_as_much_as_the_server():
    gateway = (DEPLOY / "kubernetes" / "base" / "default.conf.template").read_text()
    assert gateway.count("client_max_body_size 20m;") == 2
    assert int(pod_settings()["max_request_size"]) == 20 * 2**20


def test_the_training_job_runs_the_line_that_one_host_runs():
    job = yaml.safe_load((DEPLOY / "training" / "train-job.yaml").read_text())
    trainer = job["spec"]["trainer"]
    assert trainer["command"] == ["torchrun"]
    assert trainer["args"][:2] == ["-m", "headswap"]
    parse(trainer["args"][2:])
    gpus = trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"]
    assert int(gpus) == trainer["numProcPerNode"]


def test_the_runtime_and_the_pods_start_the_server_with_flags_it_has():
    runtime, _ = yaml.safe_load_all((DEPLOY / "kserve" / "serving-runtime.yaml").read_text())
    (line,) = runtime["spec"]["containers"][0]["args"]
    parse(shlex.split(line.partition("exec headswap ")[2]))
    parse(deployment()["spec"]["template"]["spec"]["containers"][0]["args"])


def parse(words):
    cli.parse(find_command(words[0]), words[1:])


def test_the_autoscaler_asks_for_what_the_adapter_serves():
    adapter = yaml.safe_load((DEPLOY / "monitoring" / "prometheus-adapter.yaml").read_text())
    scaler = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "autoscaler.yaml").read_text())
    (metric,) = scaler["spec"]["metrics"]
    served = [rule["name"]["as"] for rule in adapter["rules"]["custom"]]
    assert metric["pods"]["metric"]["name"] in served


def test_the_canary_differs_from_the_service_by_archive_and_share_alone():
    first, canary = (
        yaml.safe_load((DEPLOY / "kserve" / name).read_text())
        for name in ("inference-service.yaml", "canary.yaml")
    )
    assert canary["spec"]["predictor"].pop("canaryTrafficPercent") == 10
    for service in (first, canary):
        service["spec"]["predictor"]["model"].pop("storageUri")
    assert first == canary


def container_limits(path):
    container = next(
        each
        for each in yaml.safe_load((DEPLOY / path).read_text())["spec"]["template"]["spec"][
            "containers"
        ]
        if each["name"] == "headswap"
    )
    return container["resources"]["limits"]


def test_the_workers_of_a_cpu_pod_are_counted_from_its_limit_and_fit_into_its_memory(
    tmp_path, monkeypatch
):
    cpus = int(container_limits("kubernetes/cpu/threads.yaml")["cpu"])
    memory = container_limits("kubernetes/base/deployment.yaml")["memory"]
    assert memory.endswith("Gi")
    memory_bytes = int(memory.removesuffix("Gi")) << 30
    # As the kubelet writes the two limits, on a node of 64 CPUs.
    root = write_v2(tmp_path, cpu_max=f"{cpus}00000 100000", memory_max=str(memory_bytes))
    monkeypatch.setattr(cgroup.os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(cgroup, "available_cpus", partial(cgroup.available_cpus, root))
    workers = count_workers({}, {"CUDA_VISIBLE_DEVICES": ""})
    assert workers.count == cpus == 4
    assert HandlerSettings(threads_per_worker=64).thread_count == cpus
    # A worker of ResNet-18 grows to 644 MB under load; two versions of it, and 0.5 GB for the server.
    loaded = [LoadedWorkers(count=workers.count, worker_bytes=644_000_000)]
    assert find_shortage(loaded, server_bytes=500_000_000, usable_bytes=memory_bytes) is None
