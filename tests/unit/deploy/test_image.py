"""The Dockerfile, what travels to the builder, and compose.yaml."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[3]
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture(scope="module")
def dockerfile():
    return (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_hadolint_finds_nothing():
    done = subprocess.run(
        [HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_code_comes_after_the_wheels(dockerfile):
    before, after = dockerfile.split("\nFROM wheels\n")
    assert [line for line in before.splitlines() if line.startswith("COPY")] == [
        "COPY requirements.txt requirements-page.txt requirements-ray.txt constraints.txt ./"
    ]
    assert "\nCOPY . .\n" in after


def test_the_build_context_is_the_packages_and_what_they_need():
    everything, *exceptions = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert everything == "*"
    allowed = {line.removeprefix("!") for line in exceptions if line.startswith("!")}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {name.rstrip("*") for name in settings["packages"]["find"]["include"]}
    lists = {f"requirements{extra}.txt" for extra in ("", "-client", "-page", "-ray", "-tracking")}
    lists.add("constraints.txt")
    assert allowed == packages | lists | {
        "README.md",
        "LICENSE",
        "pyproject.toml",
        "config.properties",
    }


def test_the_client_needs_what_the_server_has():
    """requirements.txt holds every line of requirements-client.txt, the same range."""

    def ranges(name):
        lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
        return {line for line in lines if line}

    names = {line.partition(">=")[0] for line in ranges("requirements-client.txt")}
    assert names == {"requests", "grpcio", "protobuf"}
    assert ranges("requirements-client.txt") <= ranges("requirements.txt")


def test_the_server_is_not_root_and_stops_on_sigterm(dockerfile):
    assert dockerfile.endswith("\nUSER 10001:10001\n")
    assert "\nSTOPSIGNAL SIGTERM\n" in dockerfile
    assert '\nENTRYPOINT ["tini", "--", "headswap"]\n' in dockerfile
    assert '\nCMD ["serve", "--listen", "0.0.0.0"]\n' in dockerfile


def test_the_version_on_the_label_is_the_projects(dockerfile):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f'org.opencontainers.image.version="{project["version"]}"' in dockerfile


def test_compose_meets_its_specification(compose):
    schema = json.loads((ROOT / "deploy" / "schemas" / "compose.json").read_text())
    jsonschema.Draft7Validator(schema).validate(compose)


@pytest.mark.parametrize("service", ["headswap-gpu", "headswap-cpu"])
def test_compose_keeps_the_container_small_and_its_ports_on_the_host(compose, service):
    settings = compose["services"][service]
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in settings["ports"])
    assert not any("8081" in port or "7071" in port for port in settings["ports"])


def test_only_the_gpu_profile_asks_for_a_gpu(compose):
    devices = compose["services"]["headswap-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
    assert "deploy" not in compose["services"]["headswap-cpu"]


def test_every_mount_of_compose_exists(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source


def test_prometheus_scrapes_names_that_compose_defines(compose):
    config = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yml").read_text())
    targets = [
        target.partition(":")[0]
        for job in config["scrape_configs"]
        for each in job["static_configs"]
        for target in each["targets"]
    ]
    aliases = {
        alias
        for service in compose["services"].values()
        for network in service.get("networks", {}).values()
        for alias in network["aliases"]
    }
    assert set(targets) <= aliases | compose["services"].keys()
