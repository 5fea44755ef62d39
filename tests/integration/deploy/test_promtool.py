"""Prometheus' own checker over the rules, their tests and the scrape configuration."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

MONITORING = Path(__file__).parents[3] / "deploy" / "monitoring"
PROMTOOL = shutil.which("promtool")

pytestmark = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules_test.yml"),
        ("test", "rules", "drift_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(arguments):
    run_promtool(*arguments, folder=MONITORING)


def test_the_autoscalers_metric_of_an_idle_pod_is_0_and_of_a_busy_one_its_wait(tmp_path):
    adapter = yaml.safe_load((MONITORING / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod")
    query = query.replace("<<.LabelMatchers>>", 'namespace="headswap"')
    labels = '{namespace="headswap", pod="%s"}'
    rates = {"idle": ("0", "0"), "busy": ("3000000", "15")}
    series = [
        {"series": f"{name}{labels % pod}", "values": f"0+{rate}x40"}
        for pod, both in rates.items()
        for name, rate in zip(
            ("ts_queue_latency_microseconds", "ts_inference_requests_total"), both, strict=True
        )
    ]
    samples = [
        {"labels": f'{{pod="{pod}"}}', "value": value}
        for pod, value in (("busy", 0.2), ("idle", 0))
    ]
    expected = {"expr": query, "eval_time": "5m", "exp_samples": samples}
    test = {"interval": "15s", "input_series": series, "promql_expr_test": [expected]}
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]})
    )
    run_promtool("test", "rules", "test.yml", folder=tmp_path)


def run_promtool(*arguments, folder):
    done = subprocess.run(
        [PROMTOOL, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
