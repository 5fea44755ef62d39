"""The overlays as a cluster would get them."""

import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

OVERLAYS = Path(__file__).parents[3] / "deploy" / "kubernetes"
KUBECTL = shutil.which("kubectl")
KUSTOMIZE = shutil.which("kustomize")

pytestmark = pytest.mark.skipif(
    not (KUBECTL or KUSTOMIZE), reason="neither kubectl nor kustomize is installed"
)


def rendered(folder):
    command = [KUSTOMIZE, "build"] if KUSTOMIZE else [KUBECTL, "kustomize"]
    done = subprocess.run(
        [*command, folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return {
        (document["kind"], document["metadata"]["name"].split("-config-")[0]): document
        for document in yaml.safe_load_all(done.stdout)
    }


@pytest.fixture(scope="module", params=["gpu", "cpu"])
def overlay(request):
    return request.param, rendered(OVERLAYS / request.param)


def test_every_document_meets_the_strict_schema(overlay):
    _, documents = overlay
    assert len(documents) == 10
    for document in documents.values():
        kubernetes_validate.validate(document, "1.37.0", strict=True)


def test_selectors_meet_the_pods(overlay):
    _, documents = overlay
    deployment = documents["Deployment", "headswap"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        documents["Service", "headswap"]["spec"]["selector"],
        documents["NetworkPolicy", "headswap"]["spec"]["podSelector"]["matchLabels"],
        documents["PodDisruptionBudget", "headswap"]["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_only_the_gpu_overlay_asks_for_a_gpu(overlay):
    name, documents = overlay
    containers = documents["Deployment", "headswap"]["spec"]["template"]["spec"]["containers"]
    limits = {each["name"]: each["resources"]["limits"] for each in containers}
    assert limits["headswap"].get("nvidia.com/gpu") == ("1" if name == "gpu" else None)
    assert limits["headswap"]["memory"] == "8Gi"
    assert "nvidia.com/gpu" not in limits["gateway"]


def test_the_monitored_component_adds_the_service_monitor(tmp_path):
    # kustomize reads nothing outside the folder it is given, so the copy holds all of them.
    shutil.copytree(OVERLAYS, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "watched"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("resources: [../cpu]\ncomponents: [../monitored]\n")
    monitor = rendered(overlay)["ServiceMonitor", "headswap"]
    service = rendered(overlay)["Service", "headswap-metrics"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
