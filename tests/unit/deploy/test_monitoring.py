"""The dashboard and the rules ask for metrics that somebody writes."""

import json
import re
from pathlib import Path

import pytest
import yaml

from handlers import metrics

MONITORING = Path(__file__).parents[3] / "deploy" / "monitoring"
FRONTEND_METRICS = {
    "Requests2XX",
    "Requests4XX",
    "Requests5XX",
    "ts_inference_requests_total",
    "ts_queue_latency_microseconds",
}
HANDLER_METRICS = {
    f"{name}{end}" for name in metrics.HISTOGRAMS for end in ("_bucket", "_sum", "_count")
}
OTHER_METRICS = {"up", "ALERTS", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"}
KNOWN = (
    FRONTEND_METRICS
    | HANDLER_METRICS
    | set(metrics.COUNTERS)
    | {metrics.LOAD_FAILURES}
    | OTHER_METRICS
)
METRIC = re.compile(r"\b(?:headswap:[\w:]+|handler_\w+|ts_\w+|Requests\dXX|DCGM_\w+|up)\b")


@pytest.fixture(scope="module")
def rules():
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def dashboard():
    return json.loads((MONITORING / "dashboard.json").read_text())


def queries(dashboard):
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_rule_reads_metrics_that_exist(rules):
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        assert set(METRIC.findall(rule["expr"])) <= KNOWN | recorded, rule


def test_everything_per_version_comes_from_the_handler(rules):
    per_version = [rule["expr"] for rule in rules if "version" in rule["expr"]]
    assert len(per_version) > 5
    for query in per_version:
        assert not set(METRIC.findall(query)) & FRONTEND_METRICS, query


def test_every_panel_reads_metrics_that_exist(rules, dashboard):
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for query in queries(dashboard):
        metrics_read = set(METRIC.findall(query))
        assert metrics_read, query
        assert metrics_read <= KNOWN | recorded, query


def test_every_recorded_rule_is_shown_or_alerted_on(rules, dashboard):
    readers = queries(dashboard) + [rule["expr"] for rule in rules if "alert" in rule]
    for rule in rules:
        if "record" in rule:
            assert any(rule["record"] in reader for reader in readers), rule["record"]


def test_every_alert_names_its_severity_and_a_section_of_the_guide(rules):
    guide = (MONITORING.parents[1] / "docs" / "operate.md").read_text()
    for rule in rules:
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("page", "ticket")
            document, section = rule["annotations"]["action"].split(", ")
            assert document == "docs/operate.md"
            assert f"\n## {section}\n" in guide, section


def test_every_alert_is_tested_firing(rules):
    fired = set()
    for name in ("rules_test.yml", "drift_test.yml"):
        for case in yaml.safe_load((MONITORING / name).read_text())["tests"]:
            fired |= {each["alertname"] for each in case["alert_rule_test"] if each["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules if "alert" in rule}


def test_panels_do_not_overlap(dashboard):
    cells = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        covered = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not covered & cells, panel["title"]
        assert max(x for x, _ in covered) < 24
        cells |= covered
