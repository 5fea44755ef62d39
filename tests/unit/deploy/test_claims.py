"""What the comments in the manifests claim, each against the manifest or the code that it speaks of."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from serving.server.server import STOP_TIMEOUT_S
from serving.server.shutdown import FINISH_TIMEOUT_S
from tests.unit.deploy.test_manifests import DEPLOY, deployment, pod_settings
from tests.unit.deploy.test_monitoring import KNOWN, METRIC

ROOT = DEPLOY.parent


def load(path: str, kind: str | None = None) -> dict:
    documents = list(yaml.safe_load_all((DEPLOY / path).read_text()))
    return next(each for each in documents if kind in (None, each["kind"]))


def container(name: str) -> dict:
    pod = deployment()["spec"]["template"]["spec"]
    return next(each for each in pod["containers"] if each["name"] == name)


def mount_paths(of: dict) -> dict[str, str]:
    return {
        each["name"]: each["mountPath"] for each in of["volumeMounts"] if "readOnly" not in each
    }


def image_folders() -> dict[str, str]:
    dockerfile = (ROOT / "Dockerfile").read_text()
    return dict(re.findall(r"HEADSWAP_(MODEL_STORE|STATE)=(\S+)", dockerfile))


def test_the_canary_says_that_its_share_needs_serverless_mode():
    text = (DEPLOY / "kserve" / "canary.yaml").read_text()
    comment = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert "canaryTrafficPercent needs KServe's serverless mode" in comment
    assert "In RawDeployment it is ignored" in comment
    assert "a full rollout" in comment
    now, following = (
        load(f"kserve/{name}")["spec"]["predictor"]["model"]["storageUri"]
        for name in ("inference-service.yaml", "canary.yaml")
    )
    assert (now.rpartition("/")[2], following.rpartition("/")[2]) == ("1.0", "2.0")


def test_the_request_of_the_inference_service_is_for_its_model_and_protocol():
    text = (DEPLOY / "kserve" / "inference-service.yaml").read_text()
    service = yaml.safe_load(text)
    name, model = service["metadata"]["name"], service["spec"]["predictor"]["model"]
    version = model["storageUri"].removeprefix(f"pvc://headswap-archives/{name}/")
    assert f"one archive alone, {name}-{version}.mar" in text
    assert f"/{model['protocolVersion']}/models/{name}/infer" in text


def test_the_runtime_copies_the_archive_into_the_writable_store_of_the_image():
    (runtime,) = load("kserve/serving-runtime.yaml")["spec"]["containers"]
    (line,) = runtime["args"]
    copy = shlex.split(line)[:3]
    assert copy == ["cp", "/mnt/models/*.mar", f"{image_folders()['MODEL_STORE']}/"]
    assert set(image_folders().values()) <= set(mount_paths(runtime).values())


def test_a_probe_classifies_photos_and_not_every_second():
    (runtime,) = load("kserve/serving-runtime.yaml")["spec"]["containers"]
    server = container("headswap")
    probes = [runtime["readinessProbe"], server["readinessProbe"], server["startupProbe"]]
    for probe in probes:
        assert probe["exec"]["command"] == ["headswap", "ready"]
        # HeadswapNoReadyWorker fires after two minutes without one.
        assert 10 <= probe["periodSeconds"] <= 15
    startup = server["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 10 * 60


def test_a_pod_goes_only_after_another_is_ready_and_the_autoscaler_sets_how_many_there_are():
    spec = deployment()["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in spec
    scaler = load("kubernetes/base/autoscaler.yaml")["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment()["metadata"]["name"]
    down, up = (
        scaler["behavior"][name]["stabilizationWindowSeconds"] for name in ("scaleDown", "scaleUp")
    )
    assert down == 600 > up


def test_the_grace_period_covers_the_drain_of_the_code():
    pod = deployment()["spec"]["template"]["spec"]
    drain_s = FINISH_TIMEOUT_S + STOP_TIMEOUT_S
    server_s, gateway_s = (
        container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
        for name in ("headswap", "gateway")
    )
    assert server_s == 10
    assert server_s + drain_s <= gateway_s < pod["terminationGracePeriodSeconds"] == 60


def test_no_container_is_killed_by_a_liveness_probe():
    for each in deployment()["spec"]["template"]["spec"]["containers"]:
        assert "livenessProbe" not in each


def test_the_server_listens_on_loopback_but_for_the_metrics():
    assert container("headswap")["args"] == ["serve"]
    settings = pod_settings()
    assert settings["disable_token_authorization"] == "true"
    assert settings["enable_model_api"] == "true"
    addresses = {key: value for key, value in settings.items() if key.endswith("_address")}
    assert addresses.pop("metrics_address") == "http://0.0.0.0:8082"
    assert all("127.0.0.1" in value for value in addresses.values())
    (metrics,) = container("headswap")["ports"]
    assert (metrics["name"], metrics["containerPort"]) == ("metrics", 8082)


@pytest.mark.parametrize("url", ["https://example.org/a.mar", "file:///tmp/a.mar", "a.mar"])
def test_no_url_is_allowed_to_load_an_archive_from(url: str):
    assert not re.fullmatch(pod_settings()["allowed_urls"], url)


def test_the_queue_is_two_seconds_long_at_50_requests_per_second():
    assert int(pod_settings()["job_queue_size"]) / 50 == 2


def test_the_gateway_has_its_template_and_its_token():
    template = (DEPLOY / "kubernetes" / "base" / "default.conf.template").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", template)) == {"INFERENCE_TOKEN"}
    gateway = container("gateway")
    assert [each["name"] for each in gateway["env"]] == ["INFERENCE_TOKEN"]
    paths = {each["name"]: each["mountPath"] for each in gateway["volumeMounts"]}
    assert paths["gateway"] == "/etc/nginx/templates"
    assert paths["gateway-conf"] == "/etc/nginx/conf.d"


def test_the_network_policy_lets_in_clients_and_prometheus_and_nothing_out():
    policy = load("kubernetes/base/network-policy.yaml")["spec"]
    assert policy["podSelector"]["matchLabels"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    clients, prometheus = policy["ingress"]
    assert clients == {"ports": [{"port": "http"}, {"port": "grpc"}]}
    assert prometheus["ports"] == [{"port": "metrics"}]
    assert prometheus["from"]
    gateway = {each["name"] for each in container("gateway")["ports"]}
    assert gateway == {"http", "grpc"}


def test_the_service_for_clients_does_not_have_the_metrics():
    services = yaml.safe_load_all((DEPLOY / "kubernetes" / "base" / "service.yaml").read_text())
    ports = {
        each["metadata"]["name"]: {port["name"] for port in each["spec"]["ports"]}
        for each in services
    }
    assert ports == {"headswap": {"http", "grpc"}, "headswap-metrics": {"metrics"}}


def test_the_pods_share_a_store_and_have_a_state_folder_each():
    claim = load("kubernetes/base/model-store.yaml")["spec"]
    assert claim["accessModes"] == ["ReadWriteMany"]
    volumes = {
        each.pop("name"): each for each in deployment()["spec"]["template"]["spec"]["volumes"]
    }
    paths = mount_paths(container("headswap"))
    assert (paths["model-store"], paths["state"]) == tuple(image_folders().values())
    assert "persistentVolumeClaim" in volumes["model-store"]
    assert "emptyDir" in volumes["state"]


def test_the_loader_lives_for_an_hour_and_reaches_the_store_of_the_pods():
    pod = load("kubernetes/loader/pod.yaml")["spec"]
    assert pod["activeDeadlineSeconds"] == 3600
    (loader,) = pod["containers"]
    assert loader["command"][-2:] == ["sleep", "3600"]
    (volume,) = pod["volumes"]
    claim = load("kubernetes/base/model-store.yaml")["metadata"]["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim


def test_the_adapter_reads_metrics_that_torchserve_has():
    adapter = yaml.safe_load((DEPLOY / "monitoring" / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    metrics = set(METRIC.findall(rule["metricsQuery"])) | set(METRIC.findall(rule["seriesQuery"]))
    assert metrics == {"ts_queue_latency_microseconds", "ts_inference_requests_total"}
    assert metrics <= KNOWN


def test_the_weights_of_torchvision_are_kept_with_the_runs():
    template = load("training/runtime.yaml")["spec"]["template"]["spec"]["replicatedJobs"][0]
    (node,) = template["template"]["spec"]["template"]["spec"]["containers"]
    (home,) = (each["value"] for each in node["env"] if each["name"] == "TORCH_HOME")
    assert Path(home).parent == Path(mount_paths(node)["runs"])


def test_torchrun_takes_hosts_and_processes_from_the_environment():
    trainer = load("training/train-job.yaml")["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 2)
    code = (
        "from torch.distributed.run import get_args_parser; "
        "args = get_args_parser().parse_args(['-m', 'headswap']); "
        "print(args.nnodes, args.nproc_per_node)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PET_NNODES": "2", "PET_NPROC_PER_NODE": "2"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["2", "2"]
