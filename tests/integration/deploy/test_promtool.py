"""Prometheus' own checker over the rules, their tests and the scrape configuration."""

import shutil
import subprocess
from pathlib import Path

import pytest

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
    done = subprocess.run(
        [PROMTOOL, *arguments],
        cwd=MONITORING,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
